"""Choose the fastest training step whose loss and gradient are those of plain transformers and peft.

The step reads two short rows, and one that is longer than the model's windows where a row of the training is. The
reference is the whole model's own forward pass over each row alone.
"""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

import torch

from autosurgeon.capsule.attention import eager_attention
from autosurgeon.capsule.batches import TokenRow
from autosurgeon.capsule.head import is_matrix, model_head, tolerance
from autosurgeon.capsule.kept_proofs import keep, proof_key, recall
from autosurgeon.capsule.lora import Layers, available_layers, use_layers
from autosurgeon.capsule.memory_errors import is_out_of_memory
from autosurgeon.capsule.prove_decode import longest_window, probe_prompts
from autosurgeon.capsule.training_step import Passes, Stepper

LENGTHS = (6, 9)
GRADIENT_TOLERANCE = 3e-3
"""For FP32, of each weight."""


class Way(NamedTuple):
    """Layers and passes of a training, and the fast pieces that they replace."""

    layers: Layers
    passes: Passes
    replaced: tuple[str, ...]


class Gradient(NamedTuple):
    """The loss of a step and the gradients of the weights in training."""

    loss: float
    weights: list[torch.Tensor]

    def away_from(self, plain: Gradient) -> float:
        """Return the largest relative distance of the loss or of a weight's gradient; 0 if those are not finite."""
        norms = torch.stack([weight.norm() for weight in plain.weights])
        if not bool(norms.isfinite().all()):
            return 0.0
        floor = 0.01 * norms.norm() + 1e-12
        away = [
            float((found - wanted).norm() / (norm + floor))
            for found, wanted, norm in zip(self.weights, plain.weights, norms, strict=True)
        ]
        furthest = max(abs(self.loss - plain.loss) / max(abs(plain.loss), 1e-6), *away)
        return math.inf if any(map(math.isnan, away)) else furthest


def prove_training(model: Any, longest: int) -> tuple[Passes, tuple[str, ...]]:
    """Make the model use the fastest layers that agree, and return how to run rows and what is replaced.

    Args:
        model: a model with a fresh adapter, in training mode.
        longest: tokens of the longest row to train on.

    """
    inner = model.get_base_model()
    window = longest_window(inner)
    lengths = (*LENGTHS, min(longest, window + 3)) if window else LENGTHS
    is_quantized = getattr(inner, "is_quantized", False)
    key = proof_key(inner, "training", max(lengths), "nf4" if is_quantized else "none")
    kept = recall(key)
    for layers, passes, replaced in _ways(inner):
        if kept == [layers, passes]:
            use_layers(model, layers)
            return passes, replaced
    layers, passes, replaced = _fastest(model, inner, lengths)
    keep(key, [layers, passes])
    use_layers(model, layers)
    return passes, replaced


def _fastest(model: Any, inner: Any, lengths: tuple[int, ...]) -> Way:
    """Return the first way that agrees with plain transformers on rows of these lengths."""
    rows = [TokenRow(ids, min(3, len(ids) - 1)) for ids in probe_prompts(inner, lengths)]
    *fast, last = _ways(inner)
    if not fast:
        return last
    plain = _gradient(model, rows, "own", "single rows")
    allowed = _allowed(model, inner, rows, plain)
    for way in fast:
        reason = "its loss or gradient differs"
        try:
            if _gradient(model, rows, way.layers, way.passes).away_from(plain) <= allowed:
                return way
        except Exception as error:  # a model that a pass was not written for raises various exceptions
            if is_out_of_memory(error):
                raise
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
        name = f"training with {way.layers} layers, {way.passes},"
        sys.stderr.write(f"{name} is not used for {type(inner).__name__}: {reason}\n")
    return last


def _ways(inner: Any) -> list[Way]:
    """Return the ways to train a model, the fastest first; the last one is plain transformers."""
    alone = Way("own", "single rows", ("packing",))
    try:
        matrix = is_matrix(inner, model_head(inner))
    except (TypeError, AttributeError):  # no decoder apart from the head
        return [alone]
    passes: Passes = "packed" if matrix else "packed with the model's head"
    head = () if matrix else ("head",)
    layers = enumerate(available_layers(inner.device))
    return [*(Way(some, passes, (("layers",) if number else ()) + head) for number, some in layers), alone]


def _allowed(model: Any, inner: Any, rows: list[TokenRow], plain: Gradient) -> float:
    """Return the distance of gradients that rounding explains."""
    dtype = torch.bfloat16 if inner.device.type == "cuda" else inner.dtype
    if dtype == torch.float32:
        return GRADIENT_TOLERANCE
    with eager_attention(inner):
        noise = _gradient(model, rows, "own", "single rows").away_from(plain)
    return tolerance(dtype, noise)


def _gradient(model: Any, rows: list[TokenRow], layers: Layers, passes: Passes) -> Gradient:
    use_layers(model, layers)
    tokens = sum(len(row.ids) for row in rows)
    longest = max(len(row.ids) for row in rows)
    stepper = Stepper(model, pack_tokens=tokens, step_tokens=tokens, longest=longest, passes=passes)
    try:
        loss = float(stepper.backward(stepper.prepare(rows)))
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        return Gradient(loss, [weight.grad.clone() for weight in trained if weight.grad is not None])
    finally:
        for weight in model.parameters():
            weight.grad = None
