"""The states of a pass and the table of legal transitions.

Without deploy hooks, the decision and the live pointer change in one transaction, so a pass goes from PACKED to LIVE
directly. With deploy hooks it is ACCEPTED in between: judged, but not live until the deployed runtime serves its pack.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from autosurgeon.core.decision import Phase


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


class Stage(NamedTuple):
    """A stage of a pass, by the first word of its name."""

    name: str
    capsule: bool = False
    """Whether it runs a capsule, which uses a GPU where there is one."""
    always: bool = True
    """Whether every pass that comes so far runs it."""


class Step(NamedTuple):
    """A part of a pass: its stages in order, the gate that judges them, and the state that a pass reaches by it."""

    state: PassState
    stages: tuple[Stage, ...] = ()
    phase: Phase | None = None


LIFE = (
    Step(
        PassState.PLANNED,
        (Stage("anchors"), Stage("losses", always=False), Stage("dataset"), Stage("contamination")),
        "proposal",
    ),
    Step(PassState.READY),
    Step(PassState.TRAINED, (Stage("train", capsule=True),), "training"),
    Step(PassState.SMOKED, (Stage("smoke", capsule=True), Stage("salvage", capsule=True, always=False)), "smoke"),
    Step(PassState.PACKED, (Stage("merge", capsule=True), Stage("fidelity", capsule=True)), "merge"),
    Step(
        PassState.ACCEPTED,
        (
            Stage("bench", capsule=True),
            Stage("confirm", capsule=True, always=False),
            Stage("distance", capsule=True, always=False),
        ),
        "promotion",
    ),
    Step(PassState.LIVE, (Stage("deploy", always=False),)),
    Step(PassState.CONFIRMED, (Stage("watch", capsule=True),), "watch"),
)
"""The life of a pass, in order. Whatever needs an order, a gate's state or a kind of stage derives it from here."""
REACHED = {step.phase: step.state for step in LIFE if step.phase is not None}
"""The state of a pass that the gate of a phase lets go on; without deploy hooks a promotion is LIVE at once."""
CAPSULE_STAGES = frozenset(stage.name for step in LIFE for stage in step.stages if stage.capsule)


def _transitions() -> dict[PassState, set[PassState]]:
    """Forward by a step, or to an end that is no step, until the pass is live."""
    ends = {PassState.REJECTED, PassState.HELD, PassState.FAILED, PassState.SUPERSEDED}
    legal: dict[PassState, set[PassState]] = {state: set() for state in PassState}
    before = PassState.PROPOSED
    for step in LIFE:
        legal[before] = {step.state, *(ends if before != PassState.LIVE else ())}
        before = step.state
    legal[PassState.PACKED].add(PassState.LIVE)
    # A watch that the world interrupts reverts: an unwatched pack must not stay.
    legal[PassState.LIVE].add(PassState.REVERTED)
    return legal


TRANSITIONS = _transitions()
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
