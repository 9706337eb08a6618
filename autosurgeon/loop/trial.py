"""The trial: the packed file is benched on all but the canary, and held against live and base."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autosurgeon.core.decision import Evidence
from autosurgeon.core.envelope import Envelope
from autosurgeon.core.jobs import CompareJob, CompareResult
from autosurgeon.core.records import PassRecord
from autosurgeon.core.task import Split
from autosurgeon.loop.budget import pay_for_look
from autosurgeon.loop.complete import Model, Sampling
from autosurgeon.loop.instruments import Instruments
from autosurgeon.loop.measure import measure, pass_the_impossible, retry
from autosurgeon.loop.smoke import runs_of
from autosurgeon.loop.stage import Done, once
from autosurgeon.loop.standing import Standing, bench_batches, pass_scope, tasks_of, verified_folder
from autosurgeon.policy.early import ANYTIME, refuses_early
from autosurgeon.policy.promotion import Trial, largest_e
from autosurgeon.policy.schema import Policy

SPLITS = (Split.SURGERY, Split.DEV, Split.GATE)


def run_trial(
    ins: Instruments, record: PassRecord, standing: Standing, pack: str, policy: Policy, known: Evidence
) -> Trial:
    """Bench the packed file, or as much of it as the policy wants to see; the look is paid for before it."""
    scope = pass_scope(record.number)
    alpha = pay_for_look(ins, record.number)
    occasion = f"{scope}/bench"
    trial = trial_to_be(ins, standing)._replace(alpha=alpha.spent)
    known = {**known, "budget.alpha": alpha.spent, "budget.alpha_left": alpha.left}

    def bench(folder: Path) -> Done:
        return _bench(ins, occasion, pack, trial, policy, known, folder)

    output = once(ins, scope, "bench", bench, inputs=pack)
    trial = trial._replace(
        order=output["order"],
        pack=ins.store.envelopes(pack, occasion),
        recovered=output["recovered"],
        impossible=(output["impossible"]["tried"], output["impossible"]["passed"]),
        stopped=output["stopped"] is not None,
    )
    if trial.stopped:
        return trial
    confirmed = _bear_out(ins, scope, standing, pack, trial)
    samples = ins.settings.statistics.samples
    return trial._replace(confirmed=confirmed, samples=samples, kl=_distance(ins, scope, standing, pack))


def dev_wins(output: Mapping[str, Any], standing: Standing) -> int | None:
    """What a pass's bench won on dev; None where it did not come so far, or other benches counted then."""
    wins: int | None = output.get("dev") if output.get("counted") == list(standing.counted) else None
    return wins


def trial_to_be(ins: Instruments, standing: Standing) -> Trial:
    """The trial of a candidate before it has run anything."""
    expected = {task.task_id: task.split.value for task in tasks_of(ins, standing.counted, SPLITS)}
    live, base = ins.store.envelopes(standing.live), ins.store.envelopes(standing.base)
    return Trial(expected, (), {}, live, base, standing.anchors, standing.hidden)


def _bench(
    ins: Instruments, occasion: str, pack: str, trial: Trial, policy: Policy, known: Evidence, folder: Path
) -> Done:
    """Run batch after batch, and look after each whether a rule has seen enough."""
    benches = sorted({task.bench for task in ins.tasks.values()})
    batches = bench_batches(ins, tasks_of(ins, benches, SPLITS))
    order = [task.task_id for batch in batches for task in batch]
    model = Model(pack, verified_folder(ins, pack))
    envelopes: list[Envelope] = []
    tokens, stopped = 0, None
    for number, batch in enumerate(batches):
        measured = measure(ins, model, batch, folder / f"batch-{number}")
        envelopes += measured.envelopes
        tokens += measured.tokens
        so_far = trial._replace(order=order, pack={e.task_id: e for e in envelopes})
        rule = refuses_early(policy, {**known, ANYTIME: largest_e(so_far)})
        if rule is not None and number < len(batches) - 1:
            stopped = rule.rule_id
            ins.reporter.say(f"the bench ends early: {rule.rule_id}: {rule.lesson}")
            break
    results = {envelope.task_id: envelope for envelope in envelopes}
    anchors = {task: results[task] for task in trial.anchors if task in results}
    again = [] if stopped else [task for task, envelope in anchors.items() if not envelope.passed]
    retried = retry(ins, model, again, folder)
    output: dict[str, Any] = {
        "tasks": len(envelopes),
        "impossible": pass_the_impossible(ins, envelopes),
        "order": order,
        "stopped": stopped,
        "recovered": sorted(retried.recovered),
        "dev": None if stopped else sum(e.passed for t, e in results.items() if trial.expected.get(t) == Split.DEV),
        "counted": sorted({ins.tasks[task].bench for task in trial.expected}),
        "tokens": {"generated": tokens + retried.tokens},
    }
    runs = [] if stopped else runs_of(occasion, anchors, retried)
    return Done(output, envelopes=(pack, occasion, envelopes), anchor_runs=runs)


def _bear_out(ins: Instruments, scope: str, standing: Standing, pack: str, trial: Trial) -> tuple[str, ...]:
    """The gained tasks that every sample of the pack passes and every sample of live fails: gains that are no luck."""
    gained = trial.restricted().flips(trial.expected).gained
    if not gained:
        return ()
    samples = ins.settings.statistics.samples
    sampling = Sampling(samples, ins.settings.anchors.temperature, seed=ins.settings.seed)

    def sample(folder: Path) -> Done:
        counts: dict[str, dict[str, int]] = {}
        tokens = 0
        for name in (pack, standing.live):
            model = Model(name, verified_folder(ins, name))
            measured = measure(ins, model, [ins.tasks[t] for t in gained], folder / name[:12], sampling)
            counts[name] = dict.fromkeys(gained, 0)
            for envelope in measured.envelopes:
                counts[name][envelope.task_id] += envelope.passed
            tokens += measured.tokens
        sure = [t for t in gained if counts[pack][t] == samples and not counts[standing.live][t]]
        kept = {task: (samples, count) for task, count in counts[pack].items()}
        return Done({"confirmed": sure, "tokens": {"generated": tokens}}, confirmations=(pack, kept))

    return tuple(once(ins, scope, "confirm", sample, inputs=[pack, sorted(gained)])["confirmed"])


def _distance(ins: Instruments, scope: str, standing: Standing, pack: str) -> float | None:
    """Mean KL of the pack from live on the references of the gate's tasks; None where none has one."""
    told = [task for task in tasks_of(ins, standing.counted, (Split.GATE,)) if task.reference]
    if not told:
        return None

    def compare(folder: Path) -> Done:
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
        return Done({"result": ins.capsules.run(job, folder / "compare").model_dump(mode="json")})

    return CompareResult.model_validate(once(ins, scope, "distance", compare, inputs=pack)["result"]).kl
