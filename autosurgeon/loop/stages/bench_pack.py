"""The trial: the packed file is benched on all but the canary, and held against live and base."""

from __future__ import annotations

import json
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
from autosurgeon.policy.early import refuses_early
from autosurgeon.policy.promotion import Comparison, promotion_facts
from autosurgeon.policy.reach import reach_once_benched
from autosurgeon.policy.schema import Policy


def bench_pack(
    ins: Instruments, record: PassRecord, standing: Baseline, pack: str, policy: Policy, known: Evidence
) -> Comparison:
    """Bench the packed file, or as much of it as the policy wants to see; the look is paid for before it."""
    scope = pass_scope(record.number)
    alpha = pay_for_look(ins, record.number)
    occasion = f"{scope}/bench"
    trial = empty_comparison(ins, standing)._replace(alpha=alpha.spent)
    known = {**known, "budget.alpha": alpha.spent, "budget.alpha_left": alpha.left}

    def bench(folder: Path) -> Done[BenchResult]:
        return BatchedBench(ins, occasion, trial, policy, known).run(pack, folder)

    result = once(ins, scope, BenchResult, bench, inputs=pack)
    trial = trial._replace(
        order=result.order,
        pack=ins.store.envelopes(pack, occasion),
        recovered=result.recovered,
        undecided=result.undecided,
        impossible=(result.impossible.tried, result.impossible.passed),
        stopped=result.stopped is not None,
    )
    if trial.stopped or (ins.settings.levers.racing and _refused(policy, known, trial)):
        return trial
    samples = ins.settings.statistics.samples
    confirmed = confirm_gains(ins, scope, (pack, standing.live), trial._replace(samples=samples), policy, known)
    return trial._replace(confirmed=confirmed, samples=samples, kl=_distance(ins, scope, standing, pack))


def dev_wins(result: BenchResult, standing: Baseline) -> int | None:
    """What a pass's bench won on dev; None where it did not come so far, or other benches counted then."""
    return result.dev if result.counted == standing.counted else None


def empty_comparison(ins: Instruments, standing: Baseline) -> Comparison:
    """The trial of a candidate before it has run anything."""
    expected = {task.task_id: task.split.value for task in tasks_of(ins, standing.counted, SPLITS)}
    live, base = ins.store.envelopes(standing.live), ins.store.envelopes(standing.base)
    return Comparison(expected, (), {}, live, base, standing.anchors, standing.hidden)


def _refused(policy: Policy, known: Evidence, trial: Comparison) -> bool:
    """Whether a bench that is whole is lost already, so that samples would change nothing."""
    return refuses_early(policy, known | promotion_facts(trial), reach_once_benched(trial)) is not None


def _distance(ins: Instruments, scope: str, standing: Baseline, pack: str) -> float | None:
    """Mean KL of the pack from live on the references of the gate's tasks; None where none has one."""
    told = [task for task in tasks_of(ins, standing.counted, (Split.GATE,)) if task.reference]
    if not told:
        return None

    def compare(folder: Path) -> Done[DistanceResult]:
        folder.mkdir(parents=True, exist_ok=True)
        rows = folder / "references.jsonl"
        lines = (json.dumps({"prompt": task.prompt, "completion": task.reference}) + "\n" for task in told)
        rows.write_text("".join(lines), encoding="utf-8")
        job = CompareJob(
            a=verified_folder(ins, pack).resolve(),
            b=verified_folder(ins, standing.live).resolve(),
            rows=rows.resolve(),
            batch_rows=ins.settings.organ.train_batch_rows,
            max_tokens=ins.settings.organ.max_tokens,
        )
        result = ins.capsules.run(job, folder / "compare")
        assert isinstance(result, CompareResult)
        return Done(DistanceResult(result=result))

    return once(ins, scope, DistanceResult, compare, inputs=pack).result.kl
