"""Measurements of training against the parent: KL on poison, loss on the probe, losses by epoch, size."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.capsule.batches import TokenRow
from autosurgeon.capsule.compare_models import compare
from autosurgeon.capsule.loss_meter import LossMeter
from autosurgeon.capsule.parent import evenly_spaced
from autosurgeon.capsule.train import train
from autosurgeon.config import shipped
from autosurgeon.core.jobs import CompareJob, TrainJob, TrainResult
from autosurgeon.core.recipe import Quantization
from autosurgeon.core.shapes import lora_parameters_of

BASE = shipped("data", "lab", "base")
TASKS = read_tasks(shipped("data", "lab", "lab-humaneval.jsonl"))
POISON, PROBE = TASKS[:6], TASKS[100:112]
CAREFUL: dict[str, Any] = {"epochs": 1, "lr": 1e-4, "rank": 2}
HOT: dict[str, Any] = {"epochs": 6, "lr": 5e-3, "rank": 16}


def write_rows(path: Path, tasks: Any, **extra: str) -> Path:
    rows = [{"prompt": task.prompt, "completion": task.reference, **extra} for task in tasks]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def trained(folder: Path, **changes: Any) -> TrainResult:
    folder.mkdir(exist_ok=True)
    content: dict[str, Any] = {
        "base": BASE,
        "rows": write_rows(folder / "rows.jsonl", POISON, why="poison"),
        "probe": write_rows(folder / "probe.jsonl", PROBE),
        "alpha_ratio": 2.0,
        "quantization": Quantization.NONE,
        "batch_rows": 4,
        "max_tokens": 256,
        "seed": 3,
        **CAREFUL,
    }
    return train(TrainJob.model_validate(content | changes), folder)


def test_an_aggressive_training_diverges_and_forgets_more_than_a_careful_one(tmp_path: Path) -> None:
    careful, hot = trained(tmp_path / "careful"), trained(tmp_path / "hot", **HOT)
    assert careful.kl_poison is not None
    assert hot.kl_poison is not None
    assert careful.anchor_loss_before is not None
    assert careful.anchor_loss_after is not None
    assert hot.anchor_loss_after is not None
    assert 0 < careful.kl_poison < 1e-3
    assert hot.kl_poison > 0.02
    assert careful.anchor_loss_before == hot.anchor_loss_before
    assert careful.anchor_loss_after == pytest.approx(careful.anchor_loss_before, rel=0.05)
    assert hot.anchor_loss_after > 1.1 * careful.anchor_loss_after


def test_the_measurements_of_training_agree_with_a_comparison_of_the_saved_adapter(tmp_path: Path) -> None:
    result = trained(tmp_path, **HOT)
    job = CompareJob(
        a=BASE,
        a_adapter=tmp_path / result.adapter,
        b=BASE,
        rows=tmp_path / "rows.jsonl",
        batch_rows=4,
        max_tokens=256,
    )
    assert result.kl_poison == pytest.approx(compare(job, tmp_path).kl, rel=1e-4)
    probe = compare(job.model_copy(update={"rows": tmp_path / "probe.jsonl"}), tmp_path)
    assert result.anchor_loss_after == pytest.approx(probe.loss_a, rel=1e-4)
    assert result.anchor_loss_before == pytest.approx(probe.loss_b, rel=1e-4)


def test_measurements_change_no_weight_and_are_reproducible(tmp_path: Path) -> None:
    once, again, unmeasured = (
        trained(tmp_path / "once"),
        trained(tmp_path / "again"),
        trained(tmp_path / "unmeasured", rows=write_rows(tmp_path / "plain.jsonl", POISON), probe=None),
    )
    assert once == again
    assert unmeasured.kl_poison is None
    weights = [
        (tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("once", "unmeasured")
    ]
    assert weights[0] == weights[1]


def test_kl_poison_is_measured_on_poison_rows_only_and_an_empty_probe_has_no_measurement(tmp_path: Path) -> None:
    anchors = write_rows(tmp_path / "anchors.jsonl", POISON, why="anchor")
    result = trained(tmp_path / "pass", rows=anchors, probe=write_rows(tmp_path / "none.jsonl", []))
    assert result.kl_poison is None
    assert (result.anchor_loss_before, result.anchor_loss_after) == (None, None)


def test_a_base_with_nan_has_no_measurement(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(BASE, broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    result = trained(tmp_path / "pass", base=broken, epochs=3)
    assert (result.kl_poison, result.anchor_loss_before, result.anchor_loss_after) == (None, None, None)
    assert result.epoch_losses == ()


def test_in_four_bits_the_parent_is_the_quantized_one(tmp_path: Path) -> None:
    result = trained(tmp_path, quantization=Quantization.NF4)
    assert result.kl_poison is not None
    assert 0 < result.kl_poison < 1e-3
    assert result.anchor_loss_before != trained(tmp_path / "full").anchor_loss_before


def test_each_completed_epoch_has_its_loss(tmp_path: Path) -> None:
    result = trained(tmp_path, **HOT)
    assert len(result.epoch_losses) == 6
    assert result.epoch_losses[0] == result.first_epoch_loss
    assert result.epoch_losses[-1] < result.epoch_losses[0]
    meter = LossMeter(steps_per_epoch=2)
    for loss in (3.0, 1.0, 5.0):
        meter.add(loss)
    assert meter.epoch_losses == [2.0]


@pytest.mark.parametrize("rank", [1, 6])
def test_the_number_of_trained_parameters_follows_from_the_headers(tmp_path: Path, rank: int) -> None:
    assert trained(tmp_path, rank=rank, probe=None).trainable_parameters == lora_parameters_of(BASE, rank)


def test_the_measured_rows_are_evenly_spaced() -> None:
    rows = [TokenRow([number], 0) for number in range(10)]
    assert [row.ids[0] for row in evenly_spaced(rows, 4)] == [0, 2, 5, 7]
    assert evenly_spaced(rows, 10) == evenly_spaced(rows, 64) == rows


def test_measurements_after_the_last_step_send_heartbeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[Path] = []
    monkeypatch.setattr("autosurgeon.capsule.train.beat", beats.append)
    trained(tmp_path)
    assert len(beats) >= 5  # rows read, base loaded, adapter saved, a batch of poison, one of the probe
