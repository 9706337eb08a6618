"""What the rest of a pass would have cost had a gate not ended it."""

from __future__ import annotations

import itertools
from statistics import median

from autosurgeon.core.decision import Cost
from autosurgeon.core.pass_states import LIFE, PassState
from autosurgeon.store.sqlstore import SqlStore

MOST_OTHERS = 100
"""Passes whose median is the cost of a stage: the newest, since machine and model change over a long campaign."""


def avoided_by_ending(store: SqlStore, scope: str) -> Cost | None:
    """What the stages that a pass did not come to would have cost, by the median of the newest passes that did.

    None where no earlier pass came to one of them: nothing is made up. Only stages up to the promotion that every pass
    runs are counted.
    """
    done = {stage.name for stage in store.stage_outputs(scope)}
    total = Cost()
    until_judged = itertools.takewhile(lambda step: step.state != PassState.LIVE, LIFE)
    for name in (stage.name for step in until_judged for stage in step.stages if stage.always):
        if name in done:
            continue
        others = store.last_outputs(name, MOST_OTHERS, but=scope)
        if not others:
            return None
        total += _median([Cost.of(stage.seconds, stage.output, stage.usage) for stage in others])
    return total


def _median(costs: list[Cost]) -> Cost:
    def of(name: str) -> float | None:
        known = [value for cost in costs if (value := getattr(cost, name)) is not None]
        return median(known) if known else None

    def whole(name: str) -> int | None:
        found = of(name)
        return None if found is None else round(found)

    return Cost(
        seconds=of("seconds") or 0,
        trained_tokens=whole("trained_tokens") or 0,
        generated_tokens=whole("generated_tokens") or 0,
        gpu_seconds=of("gpu_seconds"),
        peak_host_bytes=whole("peak_host_bytes"),
        peak_gpu_bytes=whole("peak_gpu_bytes"),
        energy_joules=of("energy_joules"),
    )
