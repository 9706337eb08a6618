"""A plateau: passes in a row without a promotion and without a higher climb on dev; read from the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autosurgeon.core.pass_states import PassState
from autosurgeon.core.records import PassRecord
from autosurgeon.sections import LoopSettings
from autosurgeon.store.sqlstore import SqlStore

MOST_WIDENINGS = 3
"""How often the search is widened at most; an eighth to the eightfold of a span is everywhere that makes sense."""

TIMES = ("not yet", "once", "twice", "three times")


def moved(state: PassState, climb: float | None) -> bool | None:
    """Whether a pass was a step ahead; None where the world failed or the pass is not over."""
    if not state.is_finished or state in (PassState.FAILED, PassState.SUPERSEDED):
        return None
    # A climb is measured from the best before it, so any climb is a higher one.
    return state == PassState.CONFIRMED or (climb or 0) > 0


def flat_passes(records: Sequence[PassRecord]) -> int:
    """How many of the passes, oldest first, came to nothing since the last step ahead."""
    count = 0
    for record in reversed(records):
        ahead = moved(record.state, record.feedback.value if record.feedback else None)
        if ahead:
            break
        count += ahead is False
    return count


def read_plateau(store: SqlStore, loop: LoopSettings) -> dict[str, Any]:
    """How flat the search is: `flat` passes, of so many that are a plateau, and how often the search is widened now."""
    # Passes that say nothing are in the way; twice as many hold enough of the others, or the world has another trouble.
    newest = store.last_passes(2 * loop.plateau_passes * MOST_WIDENINGS)
    flat = flat_passes(newest)
    times = min(flat // loop.plateau_passes, MOST_WIDENINGS)
    return {
        "flat": flat,
        "passes": loop.plateau_passes,
        "reached": times > 0,
        "then": loop.on_plateau,
        "widened": times if loop.on_plateau == "widen" else 0,
    }


def plateau_line(plateau: dict[str, Any]) -> str | None:
    """A plateau in words; None where there is none."""
    if not plateau["reached"]:
        return None
    line = f"plateau: {plateau['flat']} passes in a row without a promotion and without a higher climb on dev"
    return line + (f"; the search is widened {TIMES[plateau['widened']]}" if plateau["widened"] else "")
