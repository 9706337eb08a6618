"""Packed rows are trained as separate rows: the same attention, the same loss, the same gradient."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import Qwen2Config, Qwen2ForCausalLM

from autosurgeon.capsule.batches import TokenRow, learned_tokens, to_tensors
from autosurgeon.capsule.lora import use_fast_layers, use_own_layers
from autosurgeon.capsule.loss import linear_cross_entropy
from autosurgeon.capsule.optimizer import make_optimizer
from autosurgeon.capsule.packing import best_fit_decreasing
from autosurgeon.capsule.training_step import Stepper, fitting_pack, keep_fewer_activations
from autosurgeon.core.jobs import Optimizer

VOCABULARY = 97
LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def adapted() -> Any:
    """A small Qwen2 with grouped keys and an adapter that is not zero."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        tie_word_embeddings=True,
    )
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=LAYERS, task_type="CAUSAL_LM", init_lora_weights=False)
    return get_peft_model(Qwen2ForCausalLM(config), lora).train()


def rows_of(*lengths: int) -> list[TokenRow]:
    rng = random.Random(1)
    return [TokenRow([rng.randrange(VOCABULARY) for _ in range(n)], n // 3) for n in lengths]


def stepper_of(model: Any, rows: list[TokenRow], pack_tokens: int) -> Stepper:
    tokens = sum(len(row.ids) for row in rows)
    return Stepper(model, pack_tokens=pack_tokens, step_tokens=tokens, longest=max(len(row.ids) for row in rows))


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def padded(model: Any, rows: list[TokenRow]) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradient as the model itself has them, a padded batch at once."""
    model.zero_grad()
    loss = model(**to_tensors(rows, 0, torch.device("cpu"))).loss
    loss.backward()
    return float(loss.detach()), gradients(model)


@pytest.mark.parametrize("pack_tokens", [1000, 40, 21])
def test_a_packed_step_has_the_loss_and_the_gradient_of_a_padded_batch(pack_tokens: int) -> None:
    model, rows = adapted(), rows_of(20, 7, 12, 3, 20, 9)
    loss, wanted = padded(model, rows)
    model.zero_grad()
    stepper = stepper_of(model, rows, pack_tokens)
    packs = stepper.prepare(rows)
    assert (len(packs) == 1) == (pack_tokens == 1000)
    assert float(stepper.backward(packs)) == pytest.approx(loss, rel=1e-5)
    found = gradients(model)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("pack_tokens", [1000, 21])
def test_a_rows_weight_multiplies_only_the_losses_of_its_tokens(
    pack_tokens: int,
) -> None:
    model, rows, weights = adapted(), rows_of(20, 7, 12, 3), (0.25, 2.0, 0.0, 1.0)
    learned = sum(map(learned_tokens, rows))
    wanted_loss, wanted = 0.0, dict[str, torch.Tensor]()
    for row, weight in zip(rows, weights, strict=True):
        loss, gradient = padded(model, [row])
        part = weight * learned_tokens(row) / learned
        wanted_loss += part * loss
        wanted = {name: wanted.get(name, 0) + part * alone for name, alone in gradient.items()}
    model.zero_grad()
    stepper = stepper_of(model, rows, pack_tokens)
    weighed = [row._replace(weight=weight) for row, weight in zip(rows, weights, strict=True)]
    assert float(stepper.backward(stepper.prepare(weighed))) == pytest.approx(wanted_loss, rel=1e-5)
    for name, found in gradients(model).items():
        torch.testing.assert_close(found, wanted[name], rtol=1e-3, atol=1e-6)


def test_a_weight_of_one_is_bit_identical_to_no_weight() -> None:
    model, rows = adapted(), rows_of(20, 7, 12)
    torch.manual_seed(0)
    states, weight, targets = torch.randn(9, 8, requires_grad=True), torch.randn(VOCABULARY, 8), torch.arange(9)
    places, one = torch.arange(9), torch.ones(9)
    unweighed = -((states @ weight.T).log_softmax(-1).gather(-1, targets[:, None])).sum()
    assert torch.equal(linear_cross_entropy(states, places, weight, targets, one), unweighed)
    stepper = stepper_of(model, rows, 1000)
    first = (stepper.backward(stepper.prepare(rows)), gradients(model))
    again = stepper.backward(stepper.prepare([row._replace(weight=1.0) for row in rows]))
    assert torch.equal(again, first[0])
    assert all(torch.equal(gradient, first[1][name]) for name, gradient in gradients(model).items())


def test_the_fast_layers_agree_with_peft_up_to_rounding_and_can_be_removed() -> None:
    model, rows = adapted(), rows_of(20, 7, 12)
    _, wanted = padded(model, rows)
    use_fast_layers(model)
    _, found = padded(model, rows)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6)
    use_own_layers(model)
    assert not any("forward" in module.__dict__ for module in model.modules())
    _, again = padded(model, rows)
    assert all(torch.equal(again[name], gradient) for name, gradient in wanted.items())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
    ids=["torch", "cublas", "cpu"],
)
def test_a_step_that_runs_out_of_memory_is_repeated_in_smaller_packs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    model, rows = adapted(), rows_of(20, 20, 20, 20)
    _, wanted = padded(model, rows)
    stepper = stepper_of(model, rows, 1000)
    whole = stepper._loss

    def small(ids: torch.Tensor, *others: Any) -> torch.Tensor:
        if ids.shape[1] > 25:
            raise error
        return whole(ids, *others)

    monkeypatch.setattr(stepper, "_loss", small)
    stepper.backward(stepper.prepare(rows))
    assert stepper.pack_tokens == 32  # one row of 20 fits
    assert not stepper.checkpointed
    assert "out of memory: packs of" in capsys.readouterr().err
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-3, atol=1e-6)


def test_a_step_with_another_error_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = adapted(), rows_of(20, 20)
    stepper = stepper_of(model, rows, 1000)

    def broken(*_: Any) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(stepper, "_loss", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        stepper.backward(stepper.prepare(rows))
    assert not stepper.checkpointed


def test_a_resumed_training_starts_with_the_reduced_packs_of_the_earlier_process() -> None:
    model, rows = adapted(), rows_of(20, 7, 12)
    _, wanted = padded(model, rows)
    model.zero_grad()
    stepper = stepper_of(model, rows, 1000)
    stepper.use(20, checkpointed=True)
    packs = stepper.prepare(rows)
    assert len(packs) == 2
    stepper.backward(packs)
    assert stepper.checkpointed
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-3, atol=1e-6)


def test_a_single_row_without_memory_recomputes_activations_and_then_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, rows = adapted(), rows_of(20)
    stepper, tries = stepper_of(model, rows, 20), 0

    def never(*_: Any) -> torch.Tensor:
        nonlocal tries
        tries += 1
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(stepper, "_loss", never)
    with pytest.raises(torch.OutOfMemoryError):
        stepper.backward(stepper.prepare(rows))
    assert stepper.checkpointed
    assert tries == 2


def test_recomputed_activations_give_the_same_gradient() -> None:
    model, rows = adapted(), rows_of(20, 7)
    _, wanted = padded(model, rows)
    model.zero_grad()
    keep_fewer_activations(model.get_base_model())
    stepper = stepper_of(model, rows, 100)
    stepper.backward(stepper.prepare(rows))
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-3, atol=1e-6)


def test_a_row_truncated_before_its_completion_has_no_loss() -> None:
    model = adapted()
    rows = [TokenRow([5, 6, 7], 3)]
    stepper = stepper_of(model, rows, 100)
    assert float(stepper.backward(stepper.prepare(rows))) == 0
    assert all(not gradient.any() for gradient in gradients(model).values())


@given(
    hidden=st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 2**31))),
    ignored=st.integers(0, 9),
    chunk=st.sampled_from([1, VOCABULARY * 2, 1 << 20]),
)
@settings(deadline=None)
def test_the_chunked_loss_equals_the_whole_loss(hidden: tuple[int, int], ignored: int, chunk: int) -> None:
    count, seed = hidden
    torch.manual_seed(seed)
    states, weight = torch.randn(count + 3, 8, requires_grad=True), torch.randn(VOCABULARY, 8)
    places = torch.randperm(count + 3)[:count]
    targets = torch.randint(VOCABULARY, (count,))
    targets[:ignored] = -1
    scales = torch.rand(count) * 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autosurgeon.capsule.loss.CHUNK_LOGITS", chunk)
        loss = linear_cross_entropy(states, places, weight, targets, scales)
    (found,) = torch.autograd.grad(loss * 0.5, states)
    wanted = (cross_entropy(states[places] @ weight.T, targets, ignore_index=-1, reduction="none") * scales).sum()
    (expected,) = torch.autograd.grad(wanted * 0.5, states)
    torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@given(lengths=st.lists(st.integers(1, 30), max_size=40), capacity=st.integers(1, 60))
def test_every_row_is_in_one_pack_and_only_single_rows_exceed_the_capacity(lengths: list[int], capacity: int) -> None:
    packs = best_fit_decreasing(lengths, capacity)
    assert sorted(index for pack in packs for index in pack) == list(range(len(lengths)))
    assert all(len(pack) == 1 or sum(lengths[index] for index in pack) <= capacity for pack in packs)
    # No two packs could be one.
    loads = sorted(sum(lengths[index] for index in pack) for pack in packs)
    assert len(loads) < 2 or loads[0] + loads[1] > capacity


@given(step=st.floats(1, 1e6), most=st.integers(64, 1 << 16), longest=st.integers(1, 1 << 14))
def test_a_pack_holds_the_longest_row_and_respects_its_limit(step: float, most: int, longest: int) -> None:
    size = fitting_pack(step, most, longest)
    assert longest <= size <= max(most, longest)


@pytest.mark.parametrize("name", ["adamw", "adamw_8bit"])
def test_each_optimizer_steps_on_a_cpu(name: Optimizer) -> None:
    weight = torch.nn.Parameter(torch.ones(4, 4))
    optimizer = make_optimizer(name, [weight], 0.1)
    weight.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert (weight < 1).all()
