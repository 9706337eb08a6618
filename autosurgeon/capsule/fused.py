"""Fused kernels for memory-bound parts of a layer: the gate of the MLPs, and the rotation of queries and keys.

On one H200 at half a billion parameters these parts take a fifth of a training step in torch's own operations, and more
of a decoding step. Without Triton or a C compiler, torch's operations remain, and both are slower.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import torch
from torch.nn.functional import silu

from autosurgeon.capsule.memory_errors import is_out_of_memory


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        from autosurgeon.capsule.kernels import gated

        ctx.save_for_backward(gate, up)
        return gated(gate, up)

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> Any:
        from autosurgeon.capsule.kernels import gated_back

        return gated_back(outer.contiguous(), *ctx.saved_tensors)


class _Rotated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        from autosurgeon.capsule.kernels import rotated

        ctx.save_for_backward(cos, sin)
        return rotated(given, cos, sin, 1.0)

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> Any:
        from autosurgeon.capsule.kernels import rotated

        cos, sin = ctx.saved_tensors
        outer = outer if outer.stride(-1) == 1 else outer.contiguous()
        return rotated(outer, cos, sin, -1.0), None, None


def _rotate_both(plain: Any, query: torch.Tensor, key: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> Any:
    """Return what transformers' `apply_rotary_pos_emb` (`plain`) returns; it serves shapes that the kernel does not."""
    half, rows, tokens = query.shape[-1] // 2, query.shape[0], query.shape[2]
    fits = 1 in (rows, tokens) and cos.numel() == rows * tokens * 2 * half and half & (half - 1) == 0
    fits = fits and query.stride(-1) == key.stride(-1) == 1 and query.dtype == key.dtype == cos.dtype
    if not fits:
        return plain(query, key, cos, sin)
    cos, sin = cos.contiguous(), sin.contiguous()
    if rows == 1:
        return tuple(_Rotated.apply(given, cos, sin) for given in (query, key))  # type: ignore[no-untyped-call]
    # One token of each of many rows has the memory layout of the tokens of one row.
    turned = (_Rotated.apply(given.transpose(0, 2), cos, sin) for given in (query, key))  # type: ignore[no-untyped-call]
    return tuple(given.transpose(0, 2) for given in turned)


def _mlp(module: Any, x: torch.Tensor) -> torch.Tensor:
    gate, up = module.gate_proj(x), module.up_proj(x)
    made: torch.Tensor = module.down_proj(_Gated.apply(gate, up))  # type: ignore[no-untyped-call]
    return made


@functools.cache
def works(device: torch.device) -> bool:
    """Whether the kernels compile here and agree with torch."""
    try:
        gate, up = (torch.randn(2, 64, device=device, dtype=torch.bfloat16) for _ in range(2))
        made = _Gated.apply(gate, up)  # type: ignore[no-untyped-call]
        return bool(torch.allclose(made.float(), silu(gate.float()) * up.float(), atol=0.05, rtol=0.02))
    except Exception as error:  # a missing or failing compiler raises various exceptions
        if is_out_of_memory(error):
            raise  # not an answer: another process may have held the memory for a moment
        sys.stderr.write(f"no fused kernels, so training and generation are slower: {str(error).splitlines()[0]}\n")
        return False


def _rotation(module: Any) -> Any:
    """Return the Python module of an attention layer, if it rotates by a function of that name."""
    home = sys.modules[type(module).__module__]
    return home if hasattr(home, "apply_rotary_pos_emb") else None


def fuse(model: Any) -> None:
    """Make MLPs with a gate, and the rotation of queries and keys, use the kernels, until `unfuse`."""
    for module in model.modules():
        name = type(module).__name__
        gated = all(hasattr(module, part) for part in ("gate_proj", "up_proj", "down_proj"))
        gated = gated and type(getattr(module, "act_fn", None)).__name__ in ("SiLU", "SiLUActivation")
        if name.endswith("MLP") and gated:
            module.forward = functools.partial(_mlp, module)
        elif name.endswith("Attention") and (home := _rotation(module)) is not None:
            plain = home.apply_rotary_pos_emb
            if not isinstance(plain, functools.partial):
                home.apply_rotary_pos_emb = functools.partial(_rotate_both, plain)


def unfuse(model: Any) -> None:
    """Restore the layers of transformers."""
    for module in model.modules():
        name = type(module).__name__
        if name.endswith("MLP"):
            module.__dict__.pop("forward", None)
        elif name.endswith("Attention") and (home := _rotation(module)) is not None:
            own = home.apply_rotary_pos_emb
            home.apply_rotary_pos_emb = own.args[0] if isinstance(own, functools.partial) else own
