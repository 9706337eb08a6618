"""Training on the lab's real base: what it learns, when it stops, and that it is reproducible."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from autosurgeon.capsule.batches import IGNORED, TokenRow, batches_by_length, to_tensors
from autosurgeon.capsule.load_checkpoint import open_tokenizer
from autosurgeon.capsule.loss_meter import LossMeter
from autosurgeon.capsule.train import train
from autosurgeon.config import shipped
from autosurgeon.core.jobs import PROGRESS_FILE, TrainJob
from autosurgeon.core.recipe import Quantization
from autosurgeon.core.stop_rule import StopRule
from autosurgeon.errors import UserError

BASE = shipped("data", "lab", "base")
ROWS = [
    ("# Write a function solve(xs): twice.\n", "def solve(xs):\n    return xs * 2\n"),
    ("# Write a function solve(xs): the sum.\n", "def solve(xs):\n    return sum(xs)\n"),
    ("# Write a function solve(xs): the length.\n", "def solve(xs):\n    return len(xs)\n"),
]


def train_job(folder: Path, rows: list[tuple[str, str]] = ROWS, why: str | None = None, **changes: Any) -> TrainJob:
    """A small one; `why` has the reasons that its rows take in turn, in words."""
    path = folder / "rows.jsonl"
    reasons = itertools.cycle([{"why": word} for word in why.split()] if why else [{}])
    lines = ({"prompt": p, "completion": c} | reason for (p, c), reason in zip(rows, reasons, strict=False))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    content: dict[str, Any] = {
        "base": BASE,
        "rows": path,
        "epochs": 2,
        "lr": 1e-3,
        "rank": 2,
        "alpha_ratio": 2.0,
        "quantization": Quantization.NONE,
        "batch_rows": 2,
        "max_tokens": 128,
        "seed": 3,
    }
    return TrainJob.model_validate(content | changes)


def test_training_lowers_the_loss_and_reports_every_step(tmp_path: Path) -> None:
    result = train(train_job(tmp_path, epochs=6), tmp_path)
    assert result.steps == 12
    assert result.epochs == 6
    assert result.first_epoch_loss is not None
    assert result.loss is not None
    assert result.loss < result.first_epoch_loss
    lines = (tmp_path / PROGRESS_FILE).read_text().splitlines()
    assert [json.loads(line)["done"] for line in lines] == list(range(1, 13))


def test_the_seed_determines_the_adapter(tmp_path: Path) -> None:
    states = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        train(train_job(tmp_path / name, seed=seed), tmp_path / name)
        states.append(load_file(tmp_path / name / "adapter" / "adapter_model.safetensors"))
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_a_weight_of_zero_removes_a_row_and_a_weight_of_one_changes_nothing(tmp_path: Path) -> None:
    adapters: dict[str, bytes] = {}
    for name, weight in (("none", None), ("one", 1.0), ("light", 0.1)):
        (tmp_path / name).mkdir()
        job = train_job(tmp_path / name)
        lines = [json.loads(line) for line in job.rows.read_text().splitlines()]
        extra = {} if weight is None else {"weight": weight}
        job.rows.write_text("".join(json.dumps(line | extra) + "\n" for line in lines))
        loss = train(job, tmp_path / name).first_epoch_loss
        assert loss is not None
        assert (loss < 0.5) == (name == "light")
        adapters[name] = (tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes()
    assert adapters["none"] == adapters["one"] != adapters["light"]


def test_the_saved_config_names_no_path_of_this_machine(tmp_path: Path) -> None:
    train(train_job(tmp_path), tmp_path)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] is None
    assert config["target_modules"] == sorted(config["target_modules"])
    assert not (tmp_path / "adapter" / "README.md").exists()


def test_a_stop_rule_ends_training_early_with_the_adapter(tmp_path: Path) -> None:
    rule = StopRule(rule_id="loss-floor", fact="training.loss", at_least=100.0)
    result = train(train_job(tmp_path, epochs=5, stop_rules=(rule,)), tmp_path)
    assert result.stopped_by == "loss-floor"
    assert result.steps == 1
    assert result.epochs == 0.5
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


def test_a_loss_that_is_not_finite_ends_training_and_is_reported_as_missing(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(BASE, broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    result = train(train_job(tmp_path, base=broken, epochs=5), tmp_path)
    assert result.loss is None
    assert result.loss_fraction is None or result.loss_fraction == 1.0
    assert result.steps == 1


def test_nf4_trains_on_a_cpu(tmp_path: Path) -> None:
    result = train(train_job(tmp_path, quantization=Quantization.NF4), tmp_path)
    assert result.steps == 4
    assert result.loss is not None
    assert result.trainable_parameters > 0


def test_a_training_without_rows_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to train on"):
        train(train_job(tmp_path, rows=[]), tmp_path)


def test_the_loss_excludes_prompt_and_padding() -> None:
    tensors = to_tensors([TokenRow([5, 6, 7, 8], 2), TokenRow([9, 10], 1)], pad_id=0, device=torch.device("cpu"))
    assert tensors["labels"].tolist() == [[IGNORED, IGNORED, 7, 8], [IGNORED, 10, IGNORED, IGNORED]]
    assert tensors["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=50), st.integers(1, 9), st.integers(0, 99))
def test_every_row_is_in_one_batch_of_rows_of_similar_lengths(lengths: list[int], batch_rows: int, seed: int) -> None:
    rows = [TokenRow([number] * length, 0) for number, length in enumerate(lengths)]
    batches = batches_by_length(rows, batch_rows, random.Random(seed))
    assert sorted(row.ids[0] for batch in batches for row in batch) == list(range(len(rows)))
    spans = sorted((min(len(r.ids) for r in batch), max(len(r.ids) for r in batch)) for batch in batches)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_the_loss_fraction_is_one_until_the_first_epoch_ends() -> None:
    meter = LossMeter(steps_per_epoch=4)
    for loss in (2.0, 2.0, 1.0):
        meter.add(loss)
        assert meter.loss_fraction == 1.0
    for loss in (1.0, 0.3):
        meter.add(loss)
    assert meter.loss_fraction == pytest.approx(0.3 / 1.5)


def test_the_tokenizer_pads_on_the_left() -> None:
    assert open_tokenizer(BASE).padding_side == "left"
