"""Comparison of two models on the lab's real base: equal models, a merge, damage, and models that do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.capsule.__main__ import run_job
from autosurgeon.capsule.batches import TokenRow
from autosurgeon.capsule.compare_models import compare
from autosurgeon.capsule.divergence import MAX_BATCH_LOGITS, bounded_batches, score_batch
from autosurgeon.capsule.merge import merge
from autosurgeon.config import shipped
from autosurgeon.core.jobs import JOB_FILE, OUTCOME_FILE, PROGRESS_FILE, CompareJob, CompareResult, MergeJob, Outcome
from autosurgeon.core.recipe import Quantization
from autosurgeon.errors import PackError, UserError

BASE = shipped("data", "lab", "base")
TASKS = read_tasks(shipped("data", "lab", "lab-humaneval.jsonl"))[:12]
ROWS = [{"prompt": task.prompt, "completion": task.reference} for task in TASKS]
Weights = dict[str, torch.Tensor]


def compare_job(folder: Path, rows: list[dict[str, Any]] = ROWS, **changes: Any) -> CompareJob:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    content: dict[str, Any] = {"a": BASE, "b": BASE, "rows": path, "batch_rows": 5, "max_tokens": 256}
    return CompareJob.model_validate(content | changes)


def compared(folder: Path, rows: list[dict[str, Any]] = ROWS, **changes: Any) -> CompareResult:
    return compare(compare_job(folder, rows, **changes), folder)


def changed_base(folder: Path, change: Callable[[Weights], object]) -> Path:
    shutil.copytree(BASE, folder)
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def random_adapter(folder: Path, fill: float | None = None) -> Path:
    """An adapter on every linear layer that changes the model much, or is filled with one number."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    layers = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=layers))
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.06) if fill is None else torch.nn.init.constant_(weight, fill)
    adapted.save_pretrained(folder)
    return folder


def test_a_model_has_no_divergence_from_itself(tmp_path: Path) -> None:
    result = compared(tmp_path)
    assert (result.kl, result.largest_kl, result.flips, result.flipped_rows) == (0.0, 0.0, 0, 0)
    assert (result.missing_tensors, result.foreign_tensors, result.reshaped_tensors) == ((), (), ())
    assert result.rows == len(ROWS)
    assert result.tokens > 10 * len(ROWS)
    assert result.loss_a is not None
    assert result.loss_a == result.loss_b


def test_a_merge_agrees_with_its_unmerged_adapter_up_to_bf16_and_differs_from_the_base(
    tmp_path: Path,
) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    merge(MergeJob(base=BASE, adapter=adapter), tmp_path)
    result = compared(tmp_path, a_adapter=adapter, b=tmp_path / "model")
    moved = compared(tmp_path, a_adapter=adapter)
    assert result.kl is not None
    assert moved.kl is not None
    assert 0 < result.kl < 1e-4
    assert result.flips <= 0.01 * result.tokens
    assert moved.kl > 100 * result.kl
    assert moved.flips > result.flips


def test_every_measure_shows_a_damaged_pack(tmp_path: Path) -> None:
    def zero_a_layer(weights: Weights) -> None:
        for name, tensor in weights.items():
            if name.startswith("model.layers.2."):
                tensor.zero_()

    result = compared(tmp_path, b=changed_base(tmp_path / "pack", zero_a_layer))
    assert result.kl is not None
    assert result.largest_kl is not None
    assert result.loss_a is not None
    assert result.loss_b is not None
    assert result.kl > 5e-3  # a correct merge is below 1e-4
    assert result.largest_kl > result.kl
    assert result.loss_b > result.loss_a
    assert result.flips >= result.flipped_rows > 0


def test_missing_and_foreign_tensors_of_a_pack_are_named_and_all_tokens_count_as_flipped(tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    pack = changed_base(tmp_path / "pack", lambda weights: weights.pop(name))
    without, beyond = compared(tmp_path, b=pack), compared(tmp_path, a=pack, b=BASE)
    assert (without.missing_tensors, beyond.foreign_tensors) == ((name,), (name,))
    assert without.flips == without.tokens == beyond.flips == beyond.tokens > 0


def test_a_pack_with_a_reshaped_tensor_is_not_run_and_all_tokens_count_as_flipped(tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"

    def reshape(weights: Weights) -> None:
        weights[name] = weights[name][:-1].clone()

    result = compared(tmp_path, b=changed_base(tmp_path / "pack", reshape))
    assert result.reshaped_tensors == (name,)
    assert (result.kl, result.loss_a, result.loss_b) == (None, None, None)
    assert (result.flips, result.flipped_rows) == (result.tokens, len(ROWS))
    assert result.tokens == compared(tmp_path).tokens


def test_an_adapter_with_nan_gives_no_number_and_flips_every_token(tmp_path: Path) -> None:
    result = compared(tmp_path, a_adapter=random_adapter(tmp_path / "adapter", fill=float("nan")))
    assert (result.kl, result.largest_kl, result.loss_a) == (None, None, None)
    assert result.loss_b is not None
    assert result.flips == result.tokens


def test_a_base_in_four_bits_is_near_the_full_one_but_not_equal(tmp_path: Path) -> None:
    result = compared(tmp_path, quantization=Quantization.NF4)
    assert result.kl is not None
    assert 1e-5 < result.kl < 1.0


def test_the_layout_of_batches_changes_only_rounding(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    batched, single = (compared(tmp_path, a_adapter=adapter, batch_rows=size) for size in (5, 1))
    assert (batched.tokens, batched.rows) == (single.tokens, single.rows)
    for name in ("kl", "largest_kl", "loss_a", "loss_b"):
        assert getattr(batched, name) == pytest.approx(getattr(single, name), rel=1e-4)


def test_a_score_is_the_sum_over_completion_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autosurgeon.capsule.divergence.MAX_CHUNK_LOGITS", 14)  # two positions at a time
    torch.manual_seed(0)
    rows = [TokenRow([1, 2, 3, 4, 5], 2), TokenRow([6, 5, 4], 0)]
    logits_a, logits_b = torch.randn(2, 5, 7), torch.randn(2, 5, 7)
    p, q = logits_a.softmax(-1), logits_b.softmax(-1)
    kl = (p * (p / q).log()).sum(-1)
    first, second = score_batch(lambda _: logits_a, lambda _: logits_b, rows)
    assert first.tokens == 3
    assert first.kl == pytest.approx(float(kl[0, 1:4].sum()), rel=1e-5)
    assert first.loss_a == pytest.approx(-float(sum(p[0, at - 1, rows[0].ids[at]].log() for at in (2, 3, 4))), rel=1e-5)
    assert first.flips == int((p[0, 1:4].argmax(-1) != q[0, 1:4].argmax(-1)).sum())
    assert second.tokens == 2
    assert second.loss_b == pytest.approx(-float(q[1, 0, 5].log() + q[1, 1, 4].log()), rel=1e-5)


def test_a_batch_of_a_large_vocabulary_is_bounded_and_rows_without_a_completion_are_omitted() -> None:
    rows = [TokenRow([0] * 300, 10) for _ in range(9)] + [TokenRow([0] * 20, 20), TokenRow([0], 0)]
    batches = bounded_batches(rows, 8, 151_936)
    assert sum(len(batch) for batch in batches) == 9
    assert max(len(batch) for batch in batches) == MAX_BATCH_LOGITS // (300 * 151_936) == 2
    assert [len(batch) for batch in bounded_batches(rows, 8, 700)] == [8, 1]


def test_the_capsule_runs_a_comparison_with_progress_by_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / JOB_FILE).write_text(compare_job(tmp_path).model_dump_json())
    assert run_job(tmp_path / JOB_FILE) == 0
    outcome = Outcome.model_validate_json((tmp_path / OUTCOME_FILE).read_bytes())
    assert isinstance(outcome.result, CompareResult)
    last = json.loads((tmp_path / PROGRESS_FILE).read_text().splitlines()[-1])
    assert (last["done"], last["total"]) == (len(ROWS), len(ROWS))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "nothing to compare on; got 0 rows"),
        ([{"prompt": "def solve(xs):\n" * 400, "completion": "    return 1\n"}], "nothing to compare on; got 1 rows"),
        ([ROWS[0], {"prompt": "def"}], r"no prompt or no completion.*rows.jsonl:2"),
    ],
)
def test_rows_without_a_completion_are_a_user_error(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compared(tmp_path, rows)


def test_an_incomplete_adapter_or_one_of_another_base_is_refused(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    state = load_file(adapter / "adapter_model.safetensors")
    renamed = {name.replace("layers.0.", "layers.77."): tensor for name, tensor in state.items()}
    save_file(renamed, adapter / "adapter_model.safetensors")
    with pytest.raises(PackError, match="does not fit its base"):
        compared(tmp_path, b_adapter=adapter)
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(PackError, match="an adapter is incomplete"):
        compared(tmp_path, a_adapter=adapter)


def test_models_with_different_tokenizers_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(BASE, other)
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:-40]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(PackError, match="different tokenizers"):
        compared(tmp_path, [{"prompt": task.prompt, "completion": task.reference} for task in TASKS], b=other)


def test_a_missing_or_truncated_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="a model folder is missing"):
        compared(tmp_path, b=tmp_path / "nowhere")
    short = tmp_path / "short"
    shutil.copytree(BASE, short)
    (short / "model.safetensors").write_bytes((BASE / "model.safetensors").read_bytes()[:-2])
    with pytest.raises(PackError, match="cut short"):
        compared(tmp_path, b=short)
