"""The divergence from the parent on anchor rows in the gradient, for any packing, ranks and resumption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_capsule_packing import VOCABULARY, adapted, gradients, rows_of
from torch.nn.functional import cross_entropy, kl_div

from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.capsule.batches import TokenRow, to_tensors
from autosurgeon.capsule.compare_models import compare
from autosurgeon.capsule.lora import use_fast_layers, use_own_layers
from autosurgeon.capsule.loss import linear_divergence
from autosurgeon.capsule.train import train
from autosurgeon.capsule.training_step import Passes, Stepper, keep_fewer_activations
from autosurgeon.config import shipped
from autosurgeon.core.jobs import CompareJob, TrainJob, TrainResult
from autosurgeon.core.recipe import Quantization

BASE = shipped("data", "lab", "base")
TASKS = read_tasks(shipped("data", "lab", "lab-humaneval.jsonl"))
POISON, ANCHORS = TASKS[:6], TASKS[100:106]
WEIGHT = 0.7


def mixed_rows() -> list[TokenRow]:
    return [row._replace(is_anchor=number % 2 == 0) for number, row in enumerate(rows_of(20, 7, 12, 3, 20, 9))]


def stepper_of(model: Any, kl_weight: float, pack_tokens: int = 1000, passes: Passes = "packed") -> Stepper:
    return Stepper(model, pack_tokens=pack_tokens, step_tokens=71, longest=20, kl_weight=kl_weight, passes=passes)


def found_by(model: Any, stepper: Stepper, rows: list[TokenRow], **whole: Any) -> tuple[float, dict[str, torch.Tensor]]:
    loss = float(stepper.backward(stepper.prepare(rows), **whole))
    return loss, gradients(model)


def divergence_of(parent: torch.Tensor, tuned: torch.Tensor) -> torch.Tensor:
    """Sum of KL(parent || tuned) over logits of (n, vocabulary), by torch's own function."""
    return kl_div(tuned.log_softmax(-1), parent.log_softmax(-1), log_target=True, reduction="sum")


def wanted_of(model: Any, rows: list[TokenRow]) -> tuple[float, dict[str, torch.Tensor]]:
    """Cross-entropy, and the gradient with the divergence, by torch's own functions on a padded batch."""
    model.zero_grad()
    batch = to_tensors(rows, 0, torch.device("cpu"))
    with torch.no_grad(), model.disable_adapter():
        parent = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    tuned = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    labels = batch["labels"][:, 1:]
    loss = cross_entropy(tuned.reshape(-1, VOCABULARY), labels.reshape(-1))
    held = (labels >= 0) & torch.tensor([row.is_anchor for row in rows])[:, None]
    (loss + WEIGHT * divergence_of(parent[held], tuned[held]) / held.sum()).backward()  # type: ignore[no-untyped-call]
    return float(loss.detach()), gradients(model)


def assert_near(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("passes", get_args(Passes))
@pytest.mark.parametrize("pack_tokens", [1000, 40, 21])
def test_a_step_has_the_gradient_of_loss_and_divergence(pack_tokens: int, passes: Passes) -> None:
    model, rows = adapted(), mixed_rows()
    loss, wanted = wanted_of(model, rows)
    stepper = stepper_of(model, WEIGHT, pack_tokens, passes)
    found_loss, found = found_by(model, stepper, rows)
    assert found_loss == pytest.approx(loss, rel=1e-5), "what is reported is the cross-entropy alone"
    assert_near(found, wanted)
    plain = found_by(model, stepper_of(model, 0.0), rows)[1]
    assert any(not torch.allclose(plain[name], wanted[name], rtol=1e-2) for name in wanted)


def test_parts_of_a_step_sum_to_the_step_if_one_part_has_no_anchor() -> None:
    model, rows = adapted(), sorted(mixed_rows(), key=lambda row: row.is_anchor)
    _, wanted = wanted_of(model, rows)
    stepper = stepper_of(model, WEIGHT)
    parts = [found_by(model, stepper, part, step=rows)[1] for part in (rows[:3], rows[3:])]
    assert_near({name: parts[0][name] + parts[1][name] for name in parts[0]}, wanted)


@pytest.mark.parametrize("is_anchor", [True, False])
def test_without_a_kl_weight_or_an_anchor_nothing_changes(is_anchor: bool) -> None:
    model, rows = adapted(), [row._replace(is_anchor=is_anchor) for row in mixed_rows()]
    wanted = found_by(model, stepper_of(model, 0.0, 40), [row._replace(is_anchor=False) for row in rows])
    found = found_by(model, stepper_of(model, 0.0 if is_anchor else WEIGHT, 40), rows)
    assert found[0] == wanted[0]
    assert all(torch.equal(found[1][name], gradient) for name, gradient in wanted[1].items())


def test_a_fresh_adapter_has_no_divergence_gradient() -> None:
    model, rows = adapted(), mixed_rows()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.zero_()
    plain = found_by(model, stepper_of(model, 0.0), rows)[1]
    assert_near(found_by(model, stepper_of(model, 100.0), rows)[1], plain)


def test_recomputed_activations_and_smaller_packs_give_the_same_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, rows = adapted(), mixed_rows()
    _, wanted = wanted_of(model, rows)
    keep_fewer_activations(model.get_base_model())
    stepper = stepper_of(model, WEIGHT)
    whole = stepper._states

    def small(ids: torch.Tensor, *others: Any) -> torch.Tensor:
        if ids.shape[1] > 45:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(ids, *others)

    monkeypatch.setattr(stepper, "_states", small)
    assert_near(found_by(model, stepper, rows)[1], wanted)
    assert stepper.pack_tokens < 71


def test_the_fast_layers_can_be_disabled() -> None:
    model, batch = adapted(), to_tensors(mixed_rows(), 0, torch.device("cpu"))
    with torch.no_grad(), model.disable_adapter():
        wanted = model(**batch).logits
    use_fast_layers(model)
    with torch.no_grad(), model.disable_adapter():
        found = model(**batch).logits
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    _, gradient = wanted_of(model, mixed_rows())
    assert_near(found_by(model, stepper_of(model, WEIGHT), mixed_rows())[1], gradient)
    use_own_layers(model)


@given(count=st.integers(0, 9), seed=st.integers(0, 2**31), chunk=st.sampled_from([1, VOCABULARY * 8, 1 << 20]))
@settings(deadline=None)
def test_the_chunked_divergence_equals_the_whole_divergence(count: int, seed: int, chunk: int) -> None:
    torch.manual_seed(seed)
    states, weight = torch.randn(count + 3, 8, requires_grad=True), torch.randn(VOCABULARY, 8)
    places, parent = torch.randperm(count + 3)[:count], torch.randn(count, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autosurgeon.capsule.loss.CHUNK_LOGITS", chunk)
        found = linear_divergence(states, places, weight, parent)
    (gradient,) = torch.autograd.grad(found * 0.5, states)
    wanted = divergence_of(parent @ weight.T, states[places] @ weight.T)
    (expected,) = torch.autograd.grad(wanted * 0.5, states)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)
    assert float(found.detach()) >= 0


def trained(folder: Path, **changes: Any) -> TrainResult:
    """A hot training on poison and anchors, the divergence on these in `anchors.jsonl` to be measured."""
    folder.mkdir()
    lines = {
        why: [json.dumps({"prompt": t.prompt, "completion": t.reference, "why": why}) + "\n" for t in tasks]
        for why, tasks in (("poison", POISON), ("anchor", ANCHORS))
    }
    (folder / "rows.jsonl").write_text("".join(lines["poison"] + lines["anchor"]))
    (folder / "anchors.jsonl").write_text("".join(lines["anchor"]))
    content: dict[str, Any] = {
        "base": BASE,
        "rows": folder / "rows.jsonl",
        "epochs": 4,
        "lr": 5e-3,
        "rank": 8,
        "alpha_ratio": 2.0,
        "quantization": Quantization.NONE,
        "batch_rows": 4,
        "max_tokens": 256,
        "seed": 3,
    }
    return train(TrainJob.model_validate(content | changes), folder)


def anchors_kl(folder: Path) -> float:
    compared = compare(
        CompareJob(
            a=BASE, b=BASE, b_adapter=folder / "adapter", rows=folder / "anchors.jsonl", batch_rows=4, max_tokens=256
        ),
        folder,
    )
    assert compared.kl is not None
    return compared.kl


def test_a_kl_weight_keeps_the_model_nearer_to_its_parent_on_anchors_and_it_still_learns_poison(
    tmp_path: Path,
) -> None:
    free, held = trained(tmp_path / "free"), trained(tmp_path / "held", kl_weight=5.0)
    assert anchors_kl(tmp_path / "held") < 0.5 * anchors_kl(tmp_path / "free")
    assert held.loss is not None
    assert held.first_epoch_loss is not None
    assert held.loss < 0.8 * held.first_epoch_loss
    assert (held.steps, held.tokens) == (free.steps, free.tokens)


def test_in_four_bits_the_divergence_is_from_the_quantized_parent(tmp_path: Path) -> None:
    trained(tmp_path / "held", kl_weight=1e4, quantization=Quantization.NF4, epochs=1, lr=1e-3)
    trained(tmp_path / "free", quantization=Quantization.NF4, epochs=1, lr=1e-3)
    # With such a large weight the adapter stays at its start, near the base in four bits.
    assert anchors_kl(tmp_path / "held") < anchors_kl(tmp_path / "free")
