"""Bench the pack on all but the canary, and compare it with live and base."""

from __future__ import annotations

from pathlib import Path

from autosurgeon.core.decision import Evidence
from autosurgeon.core.jobs import CompareJob, CompareResult
from autosurgeon.core.records import PassRecord
from autosurgeon.core.stage_results import BenchResult, DistanceResult
from autosurgeon.core.task import Split
from autosurgeon.loop.baseline.baseline import Baseline, pass_scope, tasks_of, verified_folder
from autosurgeon.loop.decide.alpha_budget import pay_for_look
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.loop.stages.bench_batches import SPLITS, BatchedBench
from autosurgeon.loop.stages.confirm_gains import confirm_gains
from autosurgeon.loop.stages.job_rows import chat_of, reference_rows
from autosurgeon.policy.early import refuses_early
from autosurgeon.policy.promotion import Comparison, promotion_facts
from autosurgeon.policy.reach import reach_once_benched
from autosurgeon.policy.schema import Policy


def bench_pack(
    ins: Instruments, record: PassRecord, baseline: Baseline, pack: str, policy: Policy, known: Evidence
) -> Comparison:
    """Pay for the look, then bench the pack as far as the policy needs."""
    scope = pass_scope(record.number)
    alpha = pay_for_look(ins, record.number)
    occasion = f"{scope}/bench"
    comparison = empty_comparison(ins, baseline)._replace(alpha=alpha.spent)
    known = {**known, "budget.alpha": alpha.spent, "budget.alpha_left": alpha.left}

    def bench(folder: Path) -> Done[BenchResult]:
        return BatchedBench(ins, occasion, comparison, policy, known).run(pack, folder)

    result = once(ins, scope, BenchResult, bench, inputs=pack)
    comparison = comparison._replace(
        order=result.order,
        pack=ins.store.envelopes(pack, occasion),
        recovered=result.recovered,
        undecided=result.undecided,
        impossible=(result.impossible.tried, result.impossible.passed),
        stopped=result.stopped is not None,
    )
    if comparison.stopped or (ins.settings.levers.racing and _refused(policy, known, comparison)):
        return comparison
    found = confirm_gains(ins, scope, (pack, baseline.live), comparison, policy, known)
    if found is not None:
        comparison = comparison._replace(confirmed=found.confirmed, p_luck=found.p_luck)
    return comparison._replace(kl=_distance(ins, scope, baseline, pack))


def dev_wins(result: BenchResult, baseline: Baseline) -> int | None:
    """The dev wins of a pass's bench; None where it ended before dev, or where other benches counted."""
    return result.dev if result.counted == baseline.counted else None


def empty_comparison(ins: Instruments, baseline: Baseline) -> Comparison:
    """The comparison of a candidate without results."""
    expected = {task.task_id: task.split.value for task in tasks_of(ins, baseline.counted, SPLITS)}
    live, base = ins.store.envelopes(baseline.live), ins.store.envelopes(baseline.base)
    return Comparison(expected, (), {}, live, base, baseline.anchors, baseline.hidden)


def _refused(policy: Policy, known: Evidence, comparison: Comparison) -> bool:
    """Whether the policy refuses the finished bench already, so that samples change nothing."""
    return refuses_early(policy, known | promotion_facts(comparison), reach_once_benched(comparison)) is not None


def _distance(ins: Instruments, scope: str, baseline: Baseline, pack: str) -> float | None:
    """The mean KL of the pack from live on the references of the gate's tasks; None without references."""
    referenced = [task for task in tasks_of(ins, baseline.counted, (Split.GATE,)) if task.reference]
    if not referenced:
        return None

    def compare(folder: Path) -> Done[DistanceResult]:
        folder.mkdir(parents=True, exist_ok=True)
        rows = folder / "references.jsonl"
        chat = chat_of(ins.settings.organ)
        rows.write_text(reference_rows(referenced, chat), encoding="utf-8")
        job = CompareJob(
            a=verified_folder(ins, pack).resolve(),
            b=verified_folder(ins, baseline.live).resolve(),
            rows=rows.resolve(),
            batch_rows=ins.settings.organ.train_batch_rows,
            max_tokens=ins.settings.organ.max_tokens,
            chat=chat,
        )
        result = ins.capsules.run(job, folder / "compare")
        assert isinstance(result, CompareResult)
        return Done(DistanceResult(result=result))

    return once(ins, scope, DistanceResult, compare, inputs=pack).result.kl
