"""What the proposer is told of a candidate's dev wins: a step of the Ladder, and nothing finer."""

from __future__ import annotations

from autosurgeon.core.pass_states import number_of
from autosurgeon.core.stage_results import BenchResult
from autosurgeon.core.task import Split
from autosurgeon.loop.baseline.baseline import Baseline, tasks_of
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.stages.bench_pack import dev_wins
from autosurgeon.stats.ladder import Ladder


def dev_climb(ins: Instruments, standing: Baseline, number: int) -> float | None:
    """By how many dev tasks a pass dev_climb above the best told so far; 0 where by less than a step.

    The Ladder repeats its last word for a score that is no step better. Told as a value that would make a bad recipe
    look as good as the best, so what is told is the climb: the same information, in an order that a sampler can use.
    None where the pass has no dev result.
    """
    dev = {task.task_id for task in tasks_of(ins, standing.counted, (Split.DEV,))}
    base = sum(passed for task_id, passed in ins.store.passed(standing.base).items() if task_id in dev)
    _, ladder = Ladder(step=ins.settings.statistics.ladder_step_tasks).report(base)
    wins: dict[int, int | None] = {}
    for scope, result in ins.store.each_result(BenchResult):
        # Of a bench that was run again, the first is the one that its pass goes by.
        if (told_by := number_of(scope)) is not None and told_by <= number:
            wins.setdefault(told_by, dev_wins(result, standing))
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
