"""The states of a pass and the table of legal transitions.

Without deploy hooks, the decision and the live pointer change in one transaction, so a pass goes from PACKED to LIVE
directly. With deploy hooks it is ACCEPTED in between: judged, but not live until the deployed runtime serves its pack.
"""

from __future__ import annotations

import re
from enum import StrEnum


class PassState(StrEnum):
    """The state of a pass; the last six are final."""

    PROPOSED = "PROPOSED"
    PLANNED = "PLANNED"
    READY = "READY"
    TRAINED = "TRAINED"
    SMOKED = "SMOKED"
    PACKED = "PACKED"
    ACCEPTED = "ACCEPTED"
    LIVE = "LIVE"
    CONFIRMED = "CONFIRMED"
    REVERTED = "REVERTED"
    REJECTED = "REJECTED"
    HELD = "HELD"
    FAILED = "FAILED"
    SUPERSEDED = "SUPERSEDED"

    @property
    def is_finished(self) -> bool:
        """Whether the state is final."""
        return not TRANSITIONS[self]


_ENDS = {PassState.REJECTED, PassState.HELD, PassState.FAILED, PassState.SUPERSEDED}
TRANSITIONS: dict[PassState, set[PassState]] = {
    PassState.PROPOSED: {PassState.PLANNED, *_ENDS},
    PassState.PLANNED: {PassState.READY, *_ENDS},
    PassState.READY: {PassState.TRAINED, *_ENDS},
    PassState.TRAINED: {PassState.SMOKED, *_ENDS},
    PassState.SMOKED: {PassState.PACKED, *_ENDS},
    PassState.PACKED: {PassState.ACCEPTED, PassState.LIVE, *_ENDS},
    PassState.ACCEPTED: {PassState.LIVE, *_ENDS},
    # A watch that cannot end reverts: a pack that was not watched must not stay live.
    PassState.LIVE: {PassState.CONFIRMED, PassState.REVERTED},
    PassState.CONFIRMED: set(),
    PassState.REVERTED: set(),
    PassState.REJECTED: set(),
    PassState.HELD: set(),
    PassState.FAILED: set(),
    PassState.SUPERSEDED: set(),
}
REOPENINGS: dict[PassState, set[PassState]] = {
    ended: {PassState.PLANNED, PassState.TRAINED, PassState.SMOKED, PassState.PACKED}
    for ended in (PassState.REJECTED, PassState.HELD)
}
"""The states that a person's override may give a pass that a gate ended: the state after acceptance by that gate."""


def pass_scope(number: int) -> str:
    """Return the name of a pass in stages and events."""
    return f"pass-{number:04d}"


def number_of(scope: str) -> int | None:
    """Return the pass number of a scope; None if the scope is not a pass."""
    found = re.fullmatch(r"pass-(\d{4,})", scope)
    return int(found[1]) if found else None


def number_in(occasion: str) -> int | None:
    """Return the pass number at the start of an occasion; None if the occasion is not of a pass."""
    found = re.match(r"pass-(\d{4,})(?!\w)", occasion)
    return int(found[1]) if found else None
