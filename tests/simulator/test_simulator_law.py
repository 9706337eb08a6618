"""The law of the synthetic learner, and what its capsules make of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from builders import make_task

from autosurgeon.core.jobs import GenerateJob, ReshapeJob, TrainJob, TrainResult
from autosurgeon.core.pack import ADAPTER_FILE
from autosurgeon.core.recipe import Quantization
from autosurgeon.core.stop_rule import StopRule
from autosurgeon.core.task import Split
from autosurgeon.simulator.law import (
    Dose,
    Trait,
    draw_traits,
    is_won,
    pack_margins,
    sample_chance,
    trained,
    unpack_margins,
)
from autosurgeon.simulator.learner import Learner
from autosurgeon.simulator.simulated_capsules import MindedCapsules, Place
from autosurgeon.simulator.weights import read_checkpoint, write_checkpoint

PLACE = Place("pass-0001", "bench", ())
TASKS = {
    f"b/{number}": make_task(
        f"b/{number}", split=list(Split)[number % 4], cluster=f"family{number % 5}/{number % 70}/x"
    )
    for number in range(240)
}
CAREFUL, HOT = Dose(0.5, 1, 8, 2), Dose(1.5, 4, 32, 2)


def outcome(seed: int, dose: Dose, *, anchors: bool) -> tuple[int, float]:
    """Wins lost, and the share gained of failures that were no rows, after training on the failures of a half."""
    traits = draw_traits(TASKS, seed, 0.0)
    won = {task_id for task_id, trait in traits.items() if trait.margin > 0}
    half = [task_id for number, task_id in enumerate(traits) if number % 4 < 2]
    poison = [task_id for task_id in half if task_id not in won]
    contrast = [task_id for task_id in half if task_id in won][: len(poison)] if anchors else []
    before = [trait.margin for trait in traits.values()]
    after = trained(traits, before, {*poison, *contrast}, len(contrast), dose, random.Random(seed))
    wins = {task_id for task_id, margin in zip(traits, after, strict=True) if margin > 0}
    rest = traits.keys() - won - set(poison)
    return len(won - wins), len(rest & wins) / len(rest)


def mean(dose: Dose, *, anchors: bool) -> tuple[float, float]:
    lost, gained = zip(*(outcome(seed, dose, anchors=anchors) for seed in range(12)), strict=True)
    return fmean(lost), fmean(gained)


def test_under_the_law_anchors_hold_and_high_rates_forget_as_in_the_lab() -> None:
    longer = CAREFUL._replace(epochs=4)
    alone, with_anchors, hot = mean(longer, anchors=False), mean(longer, anchors=True), mean(HOT, anchors=False)
    assert mean(CAREFUL, anchors=True)[0] < 1
    assert 2 < alone[0] < 15
    assert with_anchors[0] < alone[0] / 4
    assert hot[0] > 30
    assert 0.15 < alone[1] < with_anchors[1] < 0.6
    assert mean(CAREFUL, anchors=True)[1] < with_anchors[1]


def test_coins_are_the_share_that_was_asked_for_and_are_never_won_in_truth() -> None:
    traits = draw_traits(TASKS, 3, 0.25)
    coins = [trait for trait in traits.values() if trait.coin]
    assert len(coins) == 60
    assert not any(is_won(coin, 9.0) for coin in coins)
    assert {sample_chance(coin, 9.0, 0.4) for coin in coins} == {0.5}
    assert draw_traits(TASKS, 3, 0.25) == traits != draw_traits(TASKS, 4, 0.25)


def test_margins_survive_their_way_through_a_checkpoint(tmp_path: Path) -> None:
    margins = [0.5, -1e-9, 3.25]
    write_checkpoint(tmp_path, pack_margins(margins), adapted=1234)
    state, adapted = read_checkpoint(tmp_path)
    assert (unpack_margins(state), adapted) == (margins, 1234)


def generate(samples: int = 1, temperature: float = 0.0) -> GenerateJob:
    here = Path()
    return GenerateJob(
        model=here, prompts=here, max_new_tokens=8, batch_rows=8, samples=samples, temperature=temperature
    )


def passed(learner: Learner, margins: Mapping[str, float], tasks: list[str], job: GenerateJob) -> dict[str, int]:
    by_task = learner.answer(PLACE, job, pack_margins(list(margins.values())), tasks)
    return {task_id: sum(answer.poison is None for answer in answers) for task_id, answers in by_task.items()}


def test_greedy_answers_repeat_in_the_same_batch_and_only_knife_edges_and_coins_turn_in_others() -> None:
    traits = {name: Trait("f", "c", margin, margin, name == "coin") for name, margin in MARGINS.items()}
    learner = Learner(traits, seed=1, reference_lr=1e-3)
    batches = [[*MARGINS, *MARGINS][at : at + 4] for at in range(4)] + [list(MARGINS)[at:] for at in range(3)]
    found: dict[str, set[int]] = {name: set() for name in MARGINS}
    for seed in range(12):
        learner = Learner(traits, seed=seed, reference_lr=1e-3)
        for batch in batches:
            once = passed(learner, MARGINS, batch, generate())
            assert once == passed(learner, MARGINS, batch, generate())
            for name, count in once.items():
                found[name].add(count)
    assert found == {"sure": {1}, "hopeless": {0}, "edge": {0, 1}, "coin": {0, 1}}
    assert passed(learner, MARGINS, ["sure"], generate(64, 0.4))["sure"] > 60


MARGINS = {"sure": 3.0, "hopeless": -3.0, "edge": 0.0, "coin": 3.0}


@pytest.mark.parametrize(
    ("bound", "epochs", "stopped"),
    [
        ({"fact": "training.loss_fraction", "at_least": 0.1}, 4.0, None),
        ({"fact": "training.loss_fraction", "at_least": 0.7}, 1.75, "the-rule"),
        ({"fact": "training.kl", "at_most": 1e9}, 4.0, None),
        ({"fact": "training.kl", "at_most": 0.0}, 0.25, "the-rule"),
        ({"fact": "training.kl_anchors", "at_most": 0.0}, 0.25, "the-rule"),
        ({"fact": "training.anchor_loss_rise", "at_most": 0.0}, 0.25, "the-rule"),
    ],
)
def test_training_obeys_a_stop_rule(bound: dict[str, Any], epochs: float, stopped: str | None) -> None:
    traits = draw_traits(TASKS, 1, 0.0)
    learner = Learner(traits, seed=1, reference_lr=1e-3)
    job = TrainJob(
        base=Path(),
        rows=Path(),
        epochs=4,
        lr=1.5e-3,
        rank=32,
        alpha_ratio=2,
        quantization=Quantization.NONE,
        batch_rows=2,
        max_tokens=64,
        seed=0,
        stop_rules=(StopRule.model_validate({"rule_id": "the-rule", **bound}),),
    )
    _, result = learner.train(PLACE, job, learner.base, [{"task_id": "b/0", "why": "poison"}])
    assert isinstance(result, TrainResult)
    assert (result.epochs, result.stopped_by) == (epochs, stopped)


def test_a_reshaped_adapter_changes_as_much_of_the_parent_as_its_factor() -> None:
    learner = Learner(draw_traits(TASKS, 1, 0.0), seed=1, reference_lr=1e-3)
    parent, one, two = (pack_margins(margins) for margins in ([1.0, -2.0], [3.0, 0.0], [1.0, 2.0]))

    def margins(method: str, *states: bytes, factor: float = 1.0) -> tuple[list[float], bool]:
        adapters = [Path()] * len(states)
        job = ReshapeJob.model_validate({"method": method, "base": Path(), "adapters": adapters, "factor": factor})
        state, changed = learner.reshape(PLACE, job, parent, states)
        return unpack_margins(state), changed

    assert margins("scale", one, factor=0.5) == ([2.0, -1.0], True)
    assert margins("scale", one, factor=1.0) == ([3.0, 0.0], False)
    assert margins("lines", one, factor=0.0) == ([2.0, -1.0], True)
    assert margins("average", one, two) == ([2.0, 1.0], True)
    assert margins("intruders", one) == ([2.5, -0.5], True)


def test_a_simulated_training_keeps_the_states_on_its_way_that_were_asked_for(tmp_path: Path) -> None:
    traits = draw_traits(TASKS, 1, 0.0)
    learner = Learner(traits, seed=1, reference_lr=1e-3)
    (tmp_path / "rows.jsonl").write_text('{"task_id": "b/0", "why": "poison"}\n')
    write_checkpoint(tmp_path / "organ", learner.base, 1)
    job = TrainJob(
        base=tmp_path / "organ",
        rows=tmp_path / "rows.jsonl",
        epochs=1,
        lr=1e-3,
        rank=8,
        alpha_ratio=2,
        quantization=Quantization.NONE,
        batch_rows=2,
        max_tokens=64,
        seed=0,
        checkpoints_per_epoch=2,
    )
    work = tmp_path / "passes" / "pass-0001" / "train"
    result = MindedCapsules(learner, tmp_path / "passes").run(job, work)
    assert isinstance(result, TrainResult)
    (half,) = result.checkpoints
    kept, whole = (unpack_margins((work / name / ADAPTER_FILE).read_bytes()) for name in (half.adapter, result.adapter))
    before = unpack_margins(learner.base)
    assert kept == [old + 0.5 * (new - old) for old, new in zip(before, whole, strict=True)]
