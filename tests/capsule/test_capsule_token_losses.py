"""The losses `masked` and `dft` are those of their papers, written directly in torch, for any packing and head."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from test_capsule_packing import VOCABULARY, adapted, gradients, rows_of
from test_capsule_tether import assert_near, stepper_of, trained

from autosurgeon.capsule.batches import TokenRow, learned_tokens, to_tensors
from autosurgeon.capsule.divergence import predictor
from autosurgeon.capsule.loss import linear_cross_entropy
from autosurgeon.capsule.parent import Pair, mask_unlikely
from autosurgeon.capsule.training_step import Passes, Stepper

PERPLEXITY = VOCABULARY * 1.0


def pair(model: Any) -> Pair:
    tuned = predictor(model, 0)

    def parent(batch: list[TokenRow]) -> torch.Tensor:
        with model.disable_adapter():
            return tuned(batch)

    return Pair(tuned, parent, 4, VOCABULARY)


def surprises(model: Any, rows: list[TokenRow]) -> tuple[torch.Tensor, torch.Tensor]:
    """-log p of the next tokens, (rows, width - 1), and which of them belong to a completion."""
    batch = to_tensors(rows, 0, torch.device("cpu"))
    logs = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].log_softmax(-1)
    labels = batch["labels"][:, 1:]
    return -logs.gather(-1, labels.clamp(min=0)[..., None])[..., 0], labels >= 0


def found_by(model: Any, stepper: Stepper, rows: list[TokenRow]) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    return float(stepper.backward(stepper.prepare(rows))), gradients(model)


@pytest.mark.parametrize("passes", get_args(Passes))
@pytest.mark.parametrize("pack_tokens", [1000, 21])
def test_dft_has_the_gradient_of_cross_entropy_times_the_probability(pack_tokens: int, passes: Passes) -> None:
    model, rows = adapted(), rows_of(20, 7, 12, 3, 20, 9)
    surprise, learned = surprises(model, rows)
    kept = surprise[learned]
    ((-kept).exp().detach() * kept).mean().backward()  # type: ignore[no-untyped-call]
    wanted = gradients(model)
    stepper = Stepper(model, pack_tokens=pack_tokens, step_tokens=71, longest=20, loss="dft", passes=passes)
    loss, found = found_by(model, stepper, rows)
    assert loss == pytest.approx(float(kept.mean().detach()), rel=1e-5), "what is reported is the cross-entropy"
    assert_near(found, wanted)


def test_dft_of_chunks_with_ignored_targets_equals_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    states, weight = torch.randn(9, 8, requires_grad=True), torch.randn(VOCABULARY, 8)
    targets, scales = torch.randint(VOCABULARY, (9,)), torch.rand(9) * 2
    targets[:2] = -1
    monkeypatch.setattr("autosurgeon.capsule.loss.CHUNK_LOGITS", VOCABULARY * 2)
    loss = linear_cross_entropy(states, torch.arange(9), weight, targets, scales, dft=True)
    (found,) = torch.autograd.grad(loss, states)
    logs = (states @ weight.T).log_softmax(-1).gather(-1, targets.clamp(min=0)[:, None])[:, 0] * (targets >= 0)
    (wanted,) = torch.autograd.grad(-(logs.exp().detach() * logs * scales).sum(), states)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_tokens_above_the_perplexity_of_the_parent_are_masked_and_no_others() -> None:
    model, rows = adapted().eval(), rows_of(20, 7, 12, 3, 20, 9)
    masked = mask_unlikely(pair(model), rows, PERPLEXITY, lambda: None)
    with torch.no_grad(), model.disable_adapter():
        surprise, learned = surprises(model, rows)
    for number, row in enumerate(masked):
        unlikely = (surprise[number].exp() > PERPLEXITY) & learned[number]
        assert row.masked == {int(place) + 1 for place in unlikely.nonzero()[:, 0]}
        assert row._replace(masked=frozenset()) == rows[number]
    assert 0 < sum(map(learned_tokens, masked)) < sum(map(learned_tokens, rows))


@pytest.mark.parametrize("passes", get_args(Passes))
@pytest.mark.parametrize("pack_tokens", [1000, 21])
def test_a_masked_step_is_the_mean_over_the_tokens_that_are_left(pack_tokens: int, passes: Passes) -> None:
    model, rows = adapted(), rows_of(20, 7, 12, 3, 20, 9)
    masked = mask_unlikely(pair(model), rows, PERPLEXITY, lambda: None)
    surprise, learned = surprises(model, rows)
    for number, row in enumerate(masked):
        learned[number, [place - 1 for place in row.masked]] = False
    wanted_loss = surprise[learned].mean()
    wanted_loss.backward()  # type: ignore[no-untyped-call]
    wanted = gradients(model)
    loss, found = found_by(model, stepper_of(model, 0.0, pack_tokens, passes), masked)
    assert loss == pytest.approx(float(wanted_loss.detach()), rel=1e-5)
    assert_near(found, wanted)


def test_a_step_whose_tokens_are_all_masked_changes_nothing() -> None:
    model, rows = adapted(), rows_of(20, 7)
    nothing = mask_unlikely(pair(model), rows, 1.0, lambda: None)
    assert sum(map(learned_tokens, nothing)) == 0
    loss, found = found_by(model, stepper_of(model, 0.0), nothing)
    assert loss == 0
    assert not any(gradient.any() for gradient in found.values())


def test_anchor_tokens_that_are_masked_are_still_held_to_the_parent() -> None:
    model = adapted()
    rows = [row._replace(is_anchor=True) for row in rows_of(20, 7)]
    nothing = mask_unlikely(pair(model), rows, 1.0, lambda: None)
    plain = found_by(model, stepper_of(model, 0.0), rows)[1]
    held = found_by(model, stepper_of(model, 1.0), rows)[1]
    alone = found_by(model, stepper_of(model, 1.0), nothing)[1]
    assert_near({name: plain[name] + alone[name] for name in plain}, held)


@pytest.mark.parametrize("loss", ["masked", "dft"])
def test_a_training_with_another_loss_learns_and_has_the_same_steps(tmp_path: Path, loss: str) -> None:
    plain, other = trained(tmp_path / "plain", epochs=2), trained(tmp_path / "other", epochs=2, loss=loss)
    assert other.loss is not None
    assert other.first_epoch_loss is not None
    assert other.loss < other.first_epoch_loss
    assert other.loss != plain.loss
    assert (other.steps, other.tokens) == (plain.steps, plain.tokens)
