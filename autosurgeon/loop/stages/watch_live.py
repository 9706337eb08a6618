"""The watch: bench a new live pack again on canary and anchors, and confirm or revert it."""

from __future__ import annotations

from pathlib import Path

from autosurgeon.core.decision import Verdict
from autosurgeon.core.stage_results import Tokens, WatchResult
from autosurgeon.core.task import Split
from autosurgeon.errors import PackError, WorldError
from autosurgeon.failpoints import reach
from autosurgeon.loop.baseline.baseline import (
    Baseline,
    bench_batches,
    pass_scope,
    tasks_of,
    verified_folder,
)
from autosurgeon.loop.decide.decision_context import decision_context
from autosurgeon.loop.decide.live import last_good_pack, revert
from autosurgeon.loop.decide.settle import settle
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.loop.stages.anchor_order import fragile_first, read_fragility
from autosurgeon.loop.stages.generate_answers import Model
from autosurgeon.loop.stages.measure import measure, retry
from autosurgeon.loop.stages.smoke import runs_of
from autosurgeon.policy.evidence import watch_facts
from autosurgeon.policy.judge import judge
from autosurgeon.policy.schema import Policy

MOST_WATCHED = 32
"""The number of anchors of a watch with `levers.racing`."""


def watch(ins: Instruments, number: int, baseline: Baseline, policy: Policy) -> None:
    """Confirm the live pack or revert it to the last good one, as a new live version with its own decision.

    Args:
        ins: the instruments.
        number: the pass that made the live pack.
        baseline: the baseline from the begin of the pass, with the old live pack.
        policy: the policy whose watch rules decide.

    """
    record = ins.store.get_pass(number)
    assert record.pack is not None  # the pass is LIVE
    pack, occasion = record.pack, f"{pass_scope(number)}/watch"
    canary = tasks_of(ins, baseline.counted, (Split.CANARY,))
    benches = sorted({task.bench for task in ins.tasks.values()})
    # Benches that do not count run as well, so that the record is complete; they are not judged.
    canaries = tasks_of(ins, benches, (Split.CANARY,))

    def bench(folder: Path) -> Done[WatchResult]:
        model = Model(pack, verified_folder(ins, pack))
        # Recorded, since the runs of this watch change the fragility.
        anchors = [ins.tasks[task_id] for task_id in _watched(ins, number, baseline)]
        (batch,) = bench_batches(ins, canaries) or ([],)
        looked = measure(ins, model, batch, folder / "canary")
        again = measure(ins, model, anchors, folder / "anchors")
        failed = [task_id for task_id, envelope in again.results.items() if not envelope.passed]
        retried = retry(ins, model, failed, folder)
        envelopes = [*looked.envelopes, *again.envelopes]
        return Done(
            WatchResult(
                tasks=len(envelopes),
                watched=tuple(task.task_id for task in anchors),
                recovered=tuple(sorted(retried.recovered)),
                tokens=Tokens(generated=looked.tokens + again.tokens + retried.tokens),
            ),
            envelopes=(pack, occasion, envelopes),
            anchor_runs=runs_of(occasion, again.results, retried),
        )

    try:
        result = once(ins, pass_scope(number), WatchResult, bench, inputs=pack)
    except (WorldError, PackError) as error:
        # A pack that cannot be watched must not stay live, since its losses would not be noticed.
        revert(ins, number, pack, f"the live pack could not be benched again: {error}")
        return
    evidence = watch_facts(
        canary=[task.task_id for task in canary],
        before=ins.store.envelopes(record.live_before),
        after=ins.store.envelopes(pack, occasion),
        promoted=ins.store.envelopes(pack, f"{pass_scope(number)}/bench"),
        anchors=baseline.anchors if result.watched is None else result.watched,
        recovered=result.recovered,
    )
    ins.store.keep_policy(policy.digest, policy.model_dump_json(by_alias=True))
    judgement = judge(policy, "watch", evidence)
    # Only when needed: a damaged predecessor must not affect a confirmed pack.
    fallen = judgement.verdict != Verdict.ACCEPT
    if fallen:
        reach("watch-fallen")
    story = decision_context(ins, record, baseline, judgement, pack=pack)
    settle(ins, number, judgement, revert_to=last_good_pack(ins, but=pack) if fallen else None, story=story)


def _watched(ins: Instruments, number: int, baseline: Baseline) -> list[str]:
    """The anchors to run again: all, or with `levers.racing` the most fragile.

    The bench of the promotion ran all of them on the same bytes. A second run finds wins that depend on a tie, and a
    changed file, which shows on any of them.
    """
    if not ins.settings.levers.racing:
        return list(baseline.anchors)
    fragility = read_fragility(ins, baseline.anchors)
    return fragile_first(baseline.anchors, fragility, ins.store.get_pass(number).recipe.seed)[:MOST_WATCHED]
