"""What a pass cost, and what its rest would have cost had a gate not ended it."""

from __future__ import annotations

from statistics import median

from autosurgeon.core.decision import Cost
from autosurgeon.core.records import StageOutput
from autosurgeon.store.sqlstore import SqlStore

STAGES = (
    "anchors",
    "dataset",
    "contamination",
    "train",
    "smoke",
    "merge",
    "fidelity",
    "bench",
    "confirm",
    "distance",
    "watch",
)
"""The stages of a pass, in order."""


def spent_on(store: SqlStore, scope: str) -> Cost:
    """What the committed stages of a pass took; failed tries count their seconds."""
    total = Cost(seconds=sum(stage.seconds for stage in store.stages(scope) if stage.error is not None))
    for stage in store.stage_outputs(scope):
        total += _cost(stage)
    return total


MOST_OTHERS = 100
"""Passes whose median says what a stage costs: the newest, since machine and model change over a long campaign."""


def avoided_by_ending(store: SqlStore, scope: str) -> Cost | None:
    """What the stages that a pass did not come to would have cost, by the median of the newest passes that did.

    None where no pass ever came to one of them: nothing is made up. The distance and the watch are left out where they
    are what is missing, since not every whole pass has them.
    """
    done = {stage.name for stage in store.stage_outputs(scope)}
    total = Cost()
    for name in STAGES[: STAGES.index("bench") + 1]:
        if name in done:
            continue
        others = store.last_outputs(name, MOST_OTHERS, but=scope)
        if not others:
            return None
        total += _median([_cost(stage) for stage in others])
    return total


def _cost(stage: StageOutput) -> Cost:
    tokens = stage.output.get("tokens", {})
    return Cost(
        seconds=stage.seconds,
        trained_tokens=tokens.get("trained", 0),
        generated_tokens=tokens.get("generated", 0),
    )


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        seconds=median(cost.seconds for cost in costs),
        trained_tokens=round(median(cost.trained_tokens for cost in costs)),
        generated_tokens=round(median(cost.generated_tokens for cost in costs)),
    )
