"""A fast forward pass for linear layers with LoRA: the adapter's product is added while the frozen one is computed.

Peft's own layer converts its input to FP32, and scales and adds in separate passes; on a GPU these cost more than the
frozen product. The results are equal up to rounding. `forward` is replaced on the object.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, get_args

import torch
from peft.tuners.lora import LoraLayer
from torch.nn.functional import linear, rms_norm

from autosurgeon.capsule.fused import fuse, unfuse, works

Layers = Literal["fused", "fast", "own"]
"""Fast adapted layers and norms with fused kernels, or without them, or the layers of peft and transformers."""


class _AdaptedLinear(torch.autograd.Function):
    """x W^T + bias + scale (x A^T) B^T, and its gradients with respect to x, A and B; W has none."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, layer: Any, scale: float) -> torch.Tensor:
        """Compute (tokens, out), in x's type, from x (tokens, in), a (rank, in) and b (out, rank)."""
        a_low, b_low = a.to(x.dtype), (b * scale).to(x.dtype)
        narrow = x @ a_low.T
        ctx.save_for_backward(x, narrow, a_low, b_low)
        ctx.layer, ctx.scale = layer, scale
        return linear(x, _weight(layer, x.dtype), layer.bias).addmm_(narrow, b_low.T)

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> Any:
        """Return the gradients of x, a and b."""
        x, narrow, a_low, b_low = ctx.saved_tensors
        back = outer @ b_low
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = (outer @ _weight(ctx.layer, x.dtype)).addmm_(back, a_low)
        by_a, by_b = back.T @ x, outer.T @ narrow
        return by_x, by_a.float(), by_b.float() * ctx.scale, None, None


def _weight(layer: Any, dtype: torch.dtype) -> torch.Tensor:
    """Return the frozen weight for a product; a 4-bit weight is dequantized temporarily."""
    state = getattr(layer.weight, "quant_state", None)
    if state is None:
        weight: torch.Tensor = layer.weight
        return weight
    from bitsandbytes.functional import dequantize_4bit

    dequantized: torch.Tensor = dequantize_4bit(layer.weight.data, state)
    return dequantized.to(dtype)


def _forward(module: Any, x: torch.Tensor) -> torch.Tensor:
    flat = x.reshape(-1, x.shape[-1])
    if module.disable_adapters:  # the parent: the same product as below, so that both differ only by the adapter
        plain = linear(flat, _weight(module.base_layer, x.dtype), module.base_layer.bias)
        return plain.view(*x.shape[:-1], -1)
    a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
    out: torch.Tensor = _AdaptedLinear.apply(flat, a, b, module.base_layer, module.scaling["default"])  # type: ignore[no-untyped-call]
    return out.view(*x.shape[:-1], -1)


def _norm(module: Any, x: torch.Tensor) -> torch.Tensor:
    return rms_norm(x, module.weight.shape, module.weight, _epsilon(module))


def _epsilon(module: Any) -> float | None:
    found = getattr(module, "variance_epsilon", None)
    return getattr(module, "eps", None) if found is None else found


@torch.no_grad()
def _is_rms_norm(module: Any) -> bool:
    """Whether a layer named so only divides by the root mean square and multiplies by its weight."""
    weight = getattr(module, "weight", None)
    if weight is None or _epsilon(module) is None:
        return False
    x = torch.linspace(-2, 3, 2 * weight.numel(), device=weight.device).view(2, *weight.shape).to(weight.dtype)
    wanted, tolerance = module.forward(x).float(), 1e-4 if weight.dtype == torch.float32 else 0.02
    return torch.allclose(_norm(module, x).float(), wanted, rtol=tolerance, atol=tolerance)


def available_layers(device: torch.device) -> tuple[Layers, ...]:
    """Return the layers to try on a device, the fastest first; on a CPU only a model's own."""
    return get_args(Layers) if device.type == "cuda" else ("own",)


def use_layers(model: Any, layers: Layers) -> None:
    """Use these layers, or a model's own where fused kernels need a GPU; a second call changes nothing."""
    if layers == "own" or (layers == "fused" and next(model.parameters()).device.type != "cuda"):
        use_own_layers(model)
    else:
        use_fast_layers(model, fused=layers == "fused")


def use_fast_layers(model: Any, *, fused: bool = True) -> None:
    """Replace the forward pass of adapted layers and norms by fast ones, and use fused kernels where they work.

    `use_own_layers` reverts this; a second call changes nothing.
    """
    for module in model.modules():
        if "forward" in module.__dict__:
            continue
        if isinstance(module, LoraLayer):
            if isinstance(module.get_base_layer(), torch.nn.Linear):
                module.forward = functools.partial(_forward, module)
        elif type(module).__name__.endswith("RMSNorm") and _is_rms_norm(module):
            module.forward = functools.partial(_norm, module)
    device = next(model.parameters()).device
    if fused and device.type == "cuda" and works(device):
        fuse(model)
    else:
        unfuse(model)


def use_own_layers(model: Any) -> None:
    """Restore the layers of peft and transformers."""
    for module in model.modules():
        if isinstance(module, LoraLayer) or type(module).__name__.endswith("RMSNorm"):
            module.__dict__.pop("forward", None)
    unfuse(model)
