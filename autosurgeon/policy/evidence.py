"""The facts of each phase, one pure function each; `promotion` has those of a promotion. None is not measured."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, islice

from autosurgeon.core.decision import Evidence, FactValue
from autosurgeon.core.envelope import Envelope
from autosurgeon.core.jobs import CompareResult, TrainResult
from autosurgeon.core.recipe import Recipe
from autosurgeon.stats.paired import flips

Results = Mapping[str, Envelope]
"""A pack's envelopes by task id."""

MOST_NAMED = 20
"""The most names that evidence lists, so that a decision stays readable; the stage's output holds all."""


def baseline_facts(*, verified: bool, live_versions: int) -> Evidence:
    """The first pack of a workspace, which has no predecessor to compare with."""
    return {"baseline.verified": verified, "baseline.live_versions": live_versions}


def recipe_facts(recipe: Recipe, reference_lr: float) -> Evidence:
    """The fields of the recipe; its learning rate also as a ratio, so that one policy fits organs of any size."""
    return {
        "recipe.parent": recipe.parent,
        "recipe.mix": recipe.mix.value,
        "recipe.poison_share": recipe.poison_share,
        "recipe.anchor_share": recipe.anchor_share,
        "recipe.epochs": recipe.epochs,
        "recipe.lr": recipe.lr,
        "recipe.lr_ratio": recipe.lr / reference_lr,
        "recipe.rank": recipe.rank,
        "recipe.alpha_ratio": recipe.alpha_ratio,
        "recipe.quantization": recipe.quantization.value,
    }


def data_facts(
    reasons: Sequence[str],
    splits: Sequence[str],
    *,
    rows: Sequence[str],
    seen: Collection[str],
    parameters: int,
    left_out: int,
) -> Evidence:
    """The composition of the planned rows.

    Args:
        reasons: why each row is there: poison, anchor or mastered.
        splits: the split of each row's task.
        rows: the task of each row.
        seen: tasks that the parent, or a pack that it comes from, was trained on.
        parameters: trainable parameters of the adapter.
        left_out: failures that the curriculum left out.

    """
    overlap = sum(task_id in seen for task_id in rows)
    return {
        "data.rows": len(reasons),
        "data.poison_rows": reasons.count("poison"),
        "data.anchor_rows": reasons.count("anchor"),
        "data.mastered_rows": reasons.count("mastered"),
        "data.held_out_rows": sum(split != "surgery" for split in splits),
        "data.parent_overlap": overlap,
        "data.new_rows": len(rows) - overlap,
        "data.left_out_rows": left_out,
        "recipe.parameters_per_row": parameters / len(rows) if rows else None,
    }


def contamination_facts(twins: Mapping[str, Sequence[str]], near: Mapping[str, Sequence[str]]) -> Evidence:
    """The rows that repeat a held-out task, and those that resemble one: by row, its pairs in words."""
    return {
        "data.held_out_hits": len(twins),
        "data.held_out_pairs": first_named(chain.from_iterable(twins.values())),
        "data.near_hits": len(near),
        "data.near_pairs": first_named(chain.from_iterable(near.values())),
    }


def first_named(names: Iterable[str]) -> tuple[str, ...]:
    """The first names, up to the limit of evidence."""
    return tuple(islice(names, MOST_NAMED))


def target_facts(targets: Sequence[str], foreign_answers: Mapping[str, int]) -> Evidence:
    """The number of target benches, and of those that another handler answered."""
    return {
        "targets.benches": len(targets),
        "targets.leaking": sum(foreign_answers.get(bench, 0) > 0 for bench in targets),
    }


def selftest_facts(failed: Sequence[str]) -> Evidence:
    """The failed checks of the gate's self-test."""
    return {"selftest.failed": len(failed), "selftest.names": first_named(failed)}


def budget_facts(*, alpha: float, alpha_left: float, passes: int, hours: float, disk_gib: float) -> Evidence:
    """What the campaign has used and what is left."""
    return {
        "budget.alpha": alpha,
        "budget.alpha_left": alpha_left,
        "budget.passes": passes,
        "budget.hours": hours,
        "budget.disk_gib": disk_gib,
    }


def training_facts(result: TrainResult) -> Evidence:
    """The measurements of the training."""
    before, after = result.anchor_loss_before, result.anchor_loss_after
    return {
        "training.loss": result.loss,
        "training.loss_fraction": result.loss_fraction,
        "training.epochs": result.epochs,
        "training.steps": result.steps,
        "training.gradient_norm": result.gradient_norm,
        "training.kl": result.kl_poison,
        "training.kl_anchors": result.kl_anchors,
        "training.anchor_loss_rise": None if before is None or after is None else after - before,
    }


def smoke_facts(
    planned: Sequence[str], results: Results, recovered: Collection[str], undecided: Collection[str] = ()
) -> Evidence:
    """The results of the held-out anchors.

    Args:
        planned: the anchors of the smoke; one that did not run leaves `smoke.lost` unknown, unless the smoke ended
            early because enough were lost.
        results: the first try of each.
        recovered: those that passed on a retry.
        undecided: those that failed and were not retried, because enough others were lost.

    """
    spared = {*recovered, *undecided}
    lost = [task for task in planned if task in results and not results[task].passed and task not in spared]
    complete = not undecided and all(task in results for task in planned)
    return {
        "smoke.tried": len(results),
        "smoke.lost": len(lost) if complete or lost else None,
        "smoke.lost_names": first_named(lost),
        "smoke.flaky": len(recovered),
        "smoke.flake_rate": len(recovered) / len(results) if results else None,
    }


def salvage_facts(*, tried: int, rung: str | None, lost: int | None) -> Evidence:
    """The outcome of the salvage ladder.

    Args:
        tried: the number of rungs that were smoked.
        rung: the rung whose variant is the adapter now; None where the adapter is unchanged.
        lost: the anchors that the adapter lost as trained.

    """
    return {"salvage.tried": tried, "salvage.rung": rung or "none", "salvage.lost": lost}


def merge_facts(
    compared: CompareResult, nf4: CompareResult | None = None, bf16: CompareResult | None = None, *, verified: bool
) -> Evidence:
    """The pack compared with the adapter that it was made of.

    Args:
        compared: the adapter on the base that it was merged into.
        nf4: on the base in NF4, where it was trained so.
        bf16: on the base's own weights, where it was trained on others.
        verified: whether every byte of the pack was read back.

    """
    misfits = (compared.missing_tensors, compared.foreign_tensors, compared.reshaped_tensors)
    facts: dict[str, FactValue] = {"pack.verified": verified, "merge.missing_tensors": sum(map(len, misfits))}
    facts["merge.tokens"] = compared.tokens
    for suffix, found in (("", compared), ("_nf4", nf4), ("_bf16", bf16)):
        facts[f"merge.kl{suffix}"] = None if found is None else found.kl
        facts[f"merge.flips{suffix}"] = None if found is None or not found.tokens else found.flips
    return facts


def watch_facts(
    *,
    canary: Sequence[str],
    before: Results,
    after: Results,
    promoted: Results,
    anchors: Sequence[str],
    recovered: Collection[str],
) -> Evidence:
    """The new live pack against the old one on the canary split and the anchors, and against its own record.

    Args:
        canary: ids of the counted canary tasks.
        before: the old live pack's results.
        after: the new one's, of this watch.
        promoted: the new one's at its promotion.
        anchors: confirmed wins of the old live pack.
        recovered: tasks that failed here and passed on a retry.

    """
    complete = all(task in before and task in after for task in canary)
    flipped = flips(passed(before, canary), passed(after, canary))
    tried = [task for task in anchors if task in after]
    lost = [task for task in tried if not after[task].passed and task not in recovered]
    again = [task for task in promoted if task in after]
    fell = [t for t in again if promoted[t].passed and not after[t].passed and t not in recovered]
    return {
        "watch.canary_tasks": flipped.tasks,
        "watch.canary_lost": len(flipped.lost) if complete and canary else None,
        "watch.canary_net": flipped.net if complete and canary else None,
        "watch.anchors_tried": len(tried),
        "watch.anchors_lost": len(lost) if len(tried) == len(anchors) else None,
        "watch.lost_names": first_named(lost),
        "watch.record_tasks": len(again),
        "watch.record_lost": len(fell),
        "watch.net": flips(passed(before), passed({**promoted, **after})).net if promoted else None,
    }


def passed(results: Results, tasks: Iterable[str] | None = None) -> dict[str, bool]:
    """Whether each of the tasks that ran passed; all tasks when None."""
    return {task: results[task].passed for task in (results if tasks is None else tasks) if task in results}
