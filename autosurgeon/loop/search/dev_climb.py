"""A candidate's climb on dev, in steps of the Ladder: the only result that the proposer learns from."""

from __future__ import annotations

from autosurgeon.core.pass_states import number_of
from autosurgeon.core.stage_results import BenchResult
from autosurgeon.core.task import Split
from autosurgeon.loop.baseline.baseline import Baseline, tasks_of
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.stages.bench_pack import dev_wins
from autosurgeon.stats.ladder import Ladder


def dev_climb(ins: Instruments, baseline: Baseline, number: int) -> float | None:
    """By how many dev tasks a pass climbs above the best so far; 0 where by less than a step.

    The Ladder (Blum and Hardt, 2015) repeats its last answer for a score that is no step better. As a value that would
    make a bad recipe look as good as the best, so the proposer gets the climb: the same information, in an order that a
    sampler can use. None where the pass has no dev result.
    """
    dev = {task.task_id for task in tasks_of(ins, baseline.counted, (Split.DEV,))}
    base = sum(passed for task_id, passed in ins.store.passed(baseline.base).items() if task_id in dev)
    _, ladder = Ladder(step=ins.settings.statistics.ladder_step_tasks).report(base)
    wins: dict[int, int | None] = {}
    for scope, result in ins.store.each_result(BenchResult):
        # Of a bench that was run again, the first is the one that its pass goes by.
        if (other := number_of(scope)) is not None and other <= number:
            wins.setdefault(other, dev_wins(result, baseline))
    if wins.get(number) is None:
        return None
    before = ladder.reported
    reported = before
    for _, known in sorted(wins.items()):
        if known is not None:
            before = ladder.reported
            reported, ladder = ladder.report(known)
    assert reported is not None and before is not None  # the base is the first report
    return reported - before
