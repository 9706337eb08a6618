"""The fused kernels agree with torch's own operations, forwards and backwards; only a GPU runs them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import silu
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama import modeling_llama

from autosurgeon.capsule import fused

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no NVIDIA GPU")


def agree(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found.float(), wanted.float(), rtol=0.02, atol=0.02)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("shape", [(1, 7, 33), (3, 1024), (1, 4097, 4864)])
def test_the_fused_gate_agrees_with_torch(shape: tuple[int, ...]) -> None:
    assert fused.works(torch.device("cuda"))
    gate, up, outer = (torch.randn(shape, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    results = []
    fused_gate: Any = fused._Gated.apply
    for make in (fused_gate, lambda a, b: silu(a.float()) * b.float()):
        leaves = [tensor.clone().requires_grad_() for tensor in (gate, up)]
        made = make(*leaves)
        results.append((made, *torch.autograd.grad(made, leaves, outer.to(made.dtype))))
    for found, wanted in zip(*results, strict=True):
        agree(found, wanted)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize(("heads", "size"), [(14, 64), (2, 64), (3, 128), (1, 8)])
def test_the_fused_rotation_agrees_with_transformers(heads: int, size: int) -> None:
    tokens = 301
    angles = torch.rand(1, tokens, size // 2, device="cuda").repeat(1, 1, 2) * 6
    cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()
    query = torch.randn(1, tokens, heads, size, device="cuda", dtype=torch.bfloat16).transpose(1, 2)
    plain = modeling_llama.apply_rotary_pos_emb
    results = []
    for rotate in (plain, lambda *given: fused._rotate_both(plain, *given)):
        leaf = query.clone().requires_grad_()
        turned, other = rotate(leaf, query, cos, sin)
        agree(turned, other)
        results.append((turned, *torch.autograd.grad(turned.float().square().sum(), leaf)))
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found.float(), wanted.float(), rtol=0.05, atol=0.1)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("heads", [14, 1])
def test_one_token_of_each_of_many_rows_is_rotated_by_its_own_angle(heads: int) -> None:
    rows = 37
    angles = torch.rand(rows, 1, 32, device="cuda").repeat(1, 1, 2) * 6
    cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()
    query, key = (
        torch.randn(rows, 1, count, 64, device="cuda", dtype=torch.bfloat16).transpose(1, 2) for count in (heads, 2)
    )
    plain = modeling_llama.apply_rotary_pos_emb
    for found, wanted in zip(fused._rotate_both(plain, query, key, cos, sin), plain(query, key, cos, sin), strict=True):
        agree(found, wanted)


def test_unfusing_restores_the_model() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    model, plain = LlamaForCausalLM(config).eval(), modeling_llama.apply_rotary_pos_emb
    ids = torch.arange(20).view(2, 10)
    before = model(ids).logits
    fused.fuse(model)
    fused.fuse(model)
    assert modeling_llama.apply_rotary_pos_emb is not plain
    fused.unfuse(model)
    assert modeling_llama.apply_rotary_pos_emb is plain
    assert torch.equal(model(ids).logits, before)


def test_unsupported_shapes_are_rotated_by_transformers() -> None:
    plain = modeling_llama.apply_rotary_pos_emb
    query, key = torch.randn(2, 3, 5, 8), torch.randn(2, 1, 5, 8)  # two rows
    cos, sin = torch.rand(2, 5, 8), torch.rand(2, 5, 8)
    for found, wanted in zip(fused._rotate_both(plain, query, key, cos, sin), plain(query, key, cos, sin), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_log_reports_that_nothing_is_fused(capfd: pytest.CaptureFixture[str]) -> None:
    assert not fused.works(torch.device("cpu"))
    assert "no fused kernels" in capfd.readouterr().err
