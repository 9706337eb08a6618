"""Intermediate adapters of a training: their steps, their content, and that saving them changes nothing."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_capsule_train import train_job
from test_capsule_training_checkpoint import ROWS

from autosurgeon.capsule.train import train
from autosurgeon.capsule.training_loop import marks
from autosurgeon.core.jobs import TrainingState
from autosurgeon.core.stop_rule import StopRule

FILES = ["adapter_config.json", "adapter_model.safetensors"]


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 16))
def test_checkpoints_are_evenly_spaced_and_end_each_epoch_except_the_last(
    steps_per_epoch: int, epochs: int, per_epoch: int
) -> None:
    found = marks(steps_per_epoch, epochs, Fraction(1, per_epoch))
    assert len(found) == min(per_epoch, steps_per_epoch) * epochs - 1
    assert found == sorted(set(found))
    assert {steps_per_epoch * epoch for epoch in range(1, epochs)} <= set(found)
    gaps = {b - a for a, b in zip([0, *found], [*found, steps_per_epoch * epochs], strict=True)}
    assert max(gaps) <= math.ceil(Fraction(steps_per_epoch, min(per_epoch, steps_per_epoch)))
    assert max(gaps) - min(gaps) <= 1


@given(st.integers(1, 40), st.integers(1, 5), st.fractions(0, 1, max_denominator=1000))
def test_marks_are_steps_before_the_last_and_the_first_ends_the_first_part(
    steps_per_epoch: int, epochs: int, every: Fraction
) -> None:
    found = marks(steps_per_epoch, epochs, every)
    assert all(1 <= step < steps_per_epoch * epochs for step in found)
    first = max(1, math.ceil(every * steps_per_epoch))
    assert found[:1] == ([first] if first < steps_per_epoch * epochs else [])


def test_an_adapter_is_saved_every_half_epoch_with_the_files_of_the_last_one(tmp_path: Path) -> None:
    result = train(train_job(tmp_path, ROWS, epochs=2, checkpoints_per_epoch=2), tmp_path)
    assert [one.adapter for one in result.checkpoints] == ["checkpoint-01", "checkpoint-02", "checkpoint-03"]
    assert [one.epochs for one in result.checkpoints] == pytest.approx([2 / 3, 1, 5 / 3])
    assert all(one.loss is not None and one.loss > 0 for one in result.checkpoints)
    folders = [tmp_path / name for name in (*(one.adapter for one in result.checkpoints), result.adapter)]
    assert all(sorted(file.name for file in folder.iterdir()) == FILES for folder in folders)
    assert len({(folder / FILES[0]).read_bytes() for folder in folders}) == 1
    assert len({(folder / FILES[1]).read_bytes() for folder in folders}) == 4
    assert not list(tmp_path.glob("*.part"))


def test_saving_checkpoints_does_not_change_training_and_a_checkpoint_equals_a_shorter_training(tmp_path: Path) -> None:
    stop = StopRule(rule_id="at-once", fact="training.loss", at_least=100.0)
    changes: dict[str, dict[str, Any]] = {
        "saved": {"checkpoints_per_epoch": 16},
        "plain": {},
        "stopped": {"stop_rules": (stop,)},
    }
    results, weights = {}, {}
    for name, change in changes.items():
        folder = tmp_path / name
        folder.mkdir()
        results[name] = train(train_job(folder, ROWS, **change), folder)
        weights[name] = (folder / "adapter" / FILES[1]).read_bytes()
    assert weights["saved"] == weights["plain"]
    assert results["saved"].model_copy(update={"checkpoints": ()}) == results["plain"]
    assert len(results["saved"].checkpoints) == 5
    assert (tmp_path / "saved" / "checkpoint-01" / FILES[1]).read_bytes() == weights["stopped"]
    assert results["saved"].checkpoints[0].loss == results["stopped"].loss


def test_the_adapter_at_an_early_end_is_the_result_and_not_a_checkpoint(tmp_path: Path) -> None:
    stop = StopRule(rule_id="floor", fact="training.loss_fraction", at_least=1.0)
    job = train_job(tmp_path, ROWS, epochs=4, checkpoints_per_epoch=16, stop_rules=(stop,))
    result = train(job, tmp_path)
    assert result.stopped_by == "floor"
    assert len(result.checkpoints) == result.steps - 1
    assert not (tmp_path / f"checkpoint-{result.steps:02d}").exists()


def test_adapters_are_also_stored_beside_the_training_checkpoint(tmp_path: Path) -> None:
    kept = tmp_path / "state"
    state = TrainingState(folder=kept, effect="e", every_s=3600)
    result = train(train_job(tmp_path, ROWS, checkpoints_per_epoch=1, state=state), tmp_path)
    assert [one.adapter for one in result.checkpoints] == ["checkpoint-01"]
    for file in FILES:
        assert (kept / "checkpoint-01" / file).read_bytes() == (tmp_path / "checkpoint-01" / file).read_bytes()
