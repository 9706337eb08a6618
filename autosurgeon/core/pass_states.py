"""The states of a pass, and the only table of legal transitions.

Without deploy hooks the decision and the live pointer change in one transaction, so a pass goes from PACKED to LIVE at
once. With them it is ACCEPTED in between: judged, and not live before the deployed runtime answers with its pack.
"""

from __future__ import annotations

import re
from enum import StrEnum


class PassState(StrEnum):
    """Where a pass is; the last six are final."""

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
        """Whether nothing more happens to the pass."""
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
    # A watch that the world kept from ending reverts: an unwatched pack must not stay.
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
"""What a person's override may make of a pass that a gate ended: it stands where that gate would have let it go on."""


def pass_scope(number: int) -> str:
    """A pass, as its stages and events name it."""
    return f"pass-{number:04d}"


def number_of(scope: str) -> int | None:
    """The pass that a scope is of; None for any other scope."""
    found = re.fullmatch(r"pass-(\d{4,})", scope)
    return int(found[1]) if found else None


def number_in(occasion: str) -> int | None:
    """The pass that an occasion is of, whatever follows its scope; None for any other occasion."""
    found = re.match(r"pass-(\d{4,})(?!\w)", occasion)
    return int(found[1]) if found else None
