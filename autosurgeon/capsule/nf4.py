"""A base in NF4 as training holds it: which of its layers, and what numbers those come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module

from autosurgeon.capsule.load_checkpoint import compute_device, compute_dtype

BLOCK = 64


def quantized_weights(base: Path) -> frozenset[str]:
    """The names of the weights that training holds in NF4: of all linear layers but the output one; no file is read."""
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    left = HfQuantizer.get_modules_to_not_convert(model, None, model._keep_in_fp32_modules)
    linear = (name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))
    return frozenset(f"{name}.weight" for name in linear if should_convert_module(name, left))


def dequantized(weight: torch.Tensor) -> torch.Tensor:
    """A matrix to NF4 with doubly quantized scales and back, in FP32 on the CPU.

    By the device that training takes and in its type there, since the scales' mean hangs on both: these are the very
    numbers that the adapter was trained beside.
    """
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    device = compute_device()
    there = weight.to(device, compute_dtype(device))
    packed, state = quantize_4bit(there, blocksize=BLOCK, quant_type="nf4", compress_statistics=True)
    back: torch.Tensor = dequantize_4bit(packed, state)
    return back.to(there.dtype).float().cpu()
