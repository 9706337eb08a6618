"""The replayed incident: a careful pass, then the BD6.2 pass, with rules that measure and are not enforced."""

from __future__ import annotations

from collections import Counter

from autosurgeon.audit.delta import Delta, PassStory, Refusal
from autosurgeon.audit.mask import masked_value, masking_of
from autosurgeon.core.digest import digest_text
from autosurgeon.core.pass_states import LIFE, PassState
from autosurgeon.core.recipe import Mix, Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.core.stage_results import DatasetResult, TrainStageResult
from autosurgeon.core.task import Split
from autosurgeon.errors import UserError
from autosurgeon.incident.ablation import ablate
from autosurgeon.loop.baseline.baseline import Baseline, pass_scope, read_baseline
from autosurgeon.loop.decide.live import revert
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import begin_pass, finish_pass, prepare_run
from autosurgeon.stats.paired import flips

# Measured on the lab's base with any seed: one epoch of fresh failures with as many anchors gains and loses nearly
# nothing, while four epochs at four times the reference rate lose a third of the wins.
CAREFUL_LR_RATIO = 0.5
HOT_LR_RATIO = 4.0


def run_bd62(ins: Instruments) -> Delta:
    """Run both passes and return the measurements; live ends on the first pass.

    Raises:
        UserError: the workspace has passes already, or the benches are not the lab's.

    """
    if ins.settings.benches:
        raise UserError(
            "the bd62 scenario runs only on the lab, where its rates were measured",
            got=f"benches {', '.join(ins.settings.benches)}",
            wanted="settings without [benches]",
        )
    if ins.store.last_passes(1):
        raise UserError(
            "the bd62 scenario needs a workspace without passes", wanted="another --workspace", where=ins.workspace.root
        )
    prepare_run(ins)
    begin = read_baseline(ins)
    reference, seed = ins.settings.organ.reference_lr, int(digest_text(f"bd62:{ins.settings.seed}")[:8], 16)
    first = _operate(
        ins,
        Recipe(parent="live", anchor_share=1.0, epochs=1, lr=CAREFUL_LR_RATIO * reference, rank=8, seed=seed),
        begin,
        watched=False,
    )
    middle = read_baseline(ins)
    second = _operate(
        ins,
        Recipe(
            parent="live",
            mix=Mix.UNION,
            anchor_share=0.0,
            epochs=4,
            lr=HOT_LR_RATIO * reference,
            rank=16,
            seed=seed + 1,
        ),
        middle,
        watched=True,
    )
    if second.state == PassState.CONFIRMED and second.pack is not None:
        revert(ins, None, second.pack, "the scenario ends where the incident ended: on pass 1", to=middle.live)
    variants = ablate(ins, middle, second, first.recipe.lr)
    delta = _delta(ins, begin, middle, first, second).model_copy(update={"variants": variants})
    return masked_value(delta, masking_of(ins.workspace, ins.settings.audit.mask))


def _operate(ins: Instruments, recipe: Recipe, baseline: Baseline, *, watched: bool) -> PassRecord:
    policy = ins.policy.in_audit(watch=not watched)
    return finish_pass(ins, begin_pass(ins, recipe, baseline, policy), baseline, policy)


def _delta(ins: Instruments, begin: Baseline, middle: Baseline, first: PassRecord, second: PassRecord) -> Delta:
    live = ins.store.live()
    assert live is not None  # reading the baseline creates one
    story = _story(ins, second, middle)
    return Delta(
        seed=ins.settings.seed,
        sizes={
            b: sum(task.bench == b for task in ins.tasks.values())
            for b in sorted({t.bench for t in ins.tasks.values()})
        },
        counted=begin.counted,
        excluded=dict(begin.excluded),
        base=begin.base,
        base_wins=_wins(ins, begin.base),
        first=_story(ins, first, begin),
        second=story,
        live_version=live.version,
        live_pack=live.pack,
        prompts={task_id: ins.tasks[task_id].prompt.strip() for task_id in story.lost},
    )


def _wins(ins: Instruments, pack: str) -> dict[str, int]:
    wins: dict[str, int] = {task.bench: 0 for task in ins.tasks.values()}
    for envelope in ins.store.envelopes(pack).values():
        wins[envelope.bench] += envelope.passed
    return wins


def _story(ins: Instruments, record: PassRecord, baseline: Baseline) -> PassStory:
    """Read the story of a pass from the store."""
    scope = pass_scope(record.number)
    if record.pack is None:
        raise UserError(
            f"pass {record.number} of the scenario made no pack", got=record.reason, where=ins.workspace.root
        )
    before = {t: e.passed for t, e in ins.store.envelopes(baseline.live).items() if e.bench in baseline.counted}
    after = {t: e.passed for t, e in ins.store.envelopes(record.pack).items()}
    seconds = {stage.name: stage.seconds for stage in ins.store.stages(scope) if stage.error is None}
    chosen, trained = ins.store.stage_result(scope, DatasetResult), ins.store.stage_result(scope, TrainStageResult)
    assert chosen is not None and trained is not None  # the pass made a pack
    why = Counter[str](row.why for row in chosen.dataset.rows)
    flipped = flips(before, after)
    held_out = {task_id for task_id, task in ins.tasks.items() if task.split != Split.SURGERY}
    return PassStory(
        number=record.number,
        state=record.state.value,
        recipe=record.recipe,
        pack=record.pack,
        rows={name: why[name] for name in ("poison", "anchor", "mastered")},
        epochs=trained.result.epochs,
        steps=trained.result.steps,
        first_loss=trained.result.first_epoch_loss,
        last_loss=trained.result.loss,
        wins=_wins(ins, record.pack),
        lost=flipped.lost,
        gained=flipped.gained,
        held_out_gained=sum(task_id in held_out for task_id in flipped.gained),
        anchors_lost=tuple(task_id for task_id in flipped.lost if task_id in baseline.anchors),
        refusals=_refusals(ins, record.number, seconds),
        seconds=seconds,
    )


LAST_STAGE = {step.phase: step.stages[-1].name for step in LIFE if step.phase is not None} | {"smoke": "smoke"}
"""By phase, the last stage that it judges; the scenario has no salvage."""


def _refusals(ins: Instruments, number: int, seconds: dict[str, float]) -> tuple[Refusal, ...]:
    """List the rules that a pass broke, in order, with the seconds spent until then."""
    refusals: list[Refusal] = []
    spent, stages = 0.0, iter(seconds.items())
    for decision in ins.store.decisions(number):
        if decision.judgement is None:
            continue
        for name, cost in stages:
            spent += cost
            if name == LAST_STAGE[decision.judgement.phase]:
                break
        refusals += [
            Refusal(phase=decision.judgement.phase, rule=rule, spent_s=spent) for rule in decision.judgement.broken()
        ]
    return tuple(refusals)
