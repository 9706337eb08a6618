"""GPU kernels for the gate of an MLP and for rotation, each with one pass over memory where torch makes four to eight.

They are written in Triton, which torch's GPU builds include and which needs a C compiler; only `fused.py` imports them,
and only if both are present. Sums are in FP32 and rounded once.
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def _gated_kernel(gate, up, out, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    g = tl.load(gate + at, mask=inside).to(tl.float32)
    u = tl.load(up + at, mask=inside).to(tl.float32)
    tl.store(out + at, (g * tl.sigmoid(g) * u).to(out.dtype.element_ty), mask=inside)


@triton.jit
def _gated_back_kernel(outer, gate, up, by_gate, by_up, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    o = tl.load(outer + at, mask=inside).to(tl.float32)
    g = tl.load(gate + at, mask=inside).to(tl.float32)
    u = tl.load(up + at, mask=inside).to(tl.float32)
    s = tl.sigmoid(g)
    tl.store(by_up + at, (o * g * s).to(by_up.dtype.element_ty), mask=inside)
    tl.store(by_gate + at, (o * u * s * (1 + g * (1 - s))).to(by_gate.dtype.element_ty), mask=inside)


@triton.jit
def _rotated_kernel(
    given, out, cos, sin, head_stride, token_stride, heads, sign, HEADS: tl.constexpr, HALF: tl.constexpr
):
    token = tl.program_id(0).to(tl.int64)
    head, place = tl.arange(0, HEADS)[:, None], tl.arange(0, HALF)[None, :]
    c = tl.load(cos + token * 2 * HALF + place).to(tl.float32)
    s = tl.load(sin + token * 2 * HALF + place).to(tl.float32) * sign
    at = token * token_stride + head * head_stride + place
    inside = (head < heads) & (place < HALF)
    a = tl.load(given + at, mask=inside).to(tl.float32)
    b = tl.load(given + at + HALF, mask=inside).to(tl.float32)
    tl.store(out + at, (a * c - b * s).to(out.dtype.element_ty), mask=inside)
    tl.store(out + at + HALF, (b * c + a * s).to(out.dtype.element_ty), mask=inside)


def gated(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """Return silu(gate) * up, for contiguous tensors of any shape."""
    out = torch.empty_like(gate)
    _gated_kernel[(triton.cdiv(out.numel(), BLOCK),)](gate, up, out, out.numel(), BLOCK=BLOCK)
    return out


def gated_back(outer: torch.Tensor, gate: torch.Tensor, up: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients of gate and up."""
    by_gate, by_up = torch.empty_like(gate), torch.empty_like(up)
    count = outer.numel()
    _gated_back_kernel[(triton.cdiv(count, BLOCK),)](outer, gate, up, by_gate, by_up, count, BLOCK=BLOCK)
    return by_gate, by_up


def rotated(given: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, sign: float) -> torch.Tensor:
    """Rotate the two halves of each head by its token's angle; the result has the memory layout of the input.

    Args:
        given: (1, heads, tokens, size), the last dimension contiguous.
        cos: (1, tokens, size) or with more dimensions of one; both halves equal.
        sin: as `cos`.
        sign: 1, or -1 for the gradient.

    """
    out = torch.empty_like(given)
    if out.stride() != given.stride():  # the input has gaps or overlaps
        given = given.contiguous()
        out = torch.empty_like(given)
    _, heads, tokens, size = given.shape
    _rotated_kernel[(tokens,)](
        given,
        out,
        cos,
        sin,
        given.stride(1),
        given.stride(2),
        heads,
        sign,
        HEADS=triton.next_power_of_2(heads),
        HALF=size // 2,
    )
    return out
