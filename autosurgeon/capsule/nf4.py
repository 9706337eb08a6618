"""The weights that training quantizes to NF4, and their dequantized values."""

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
    """Return the names of the weights that training holds in NF4: linear layers except the output; reads no weights."""
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    excluded = HfQuantizer.get_modules_to_not_convert(model, None, model._keep_in_fp32_modules)
    linear = (name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))
    return frozenset(f"{name}.weight" for name in linear if should_convert_module(name, excluded))


def dequantized(weight: torch.Tensor) -> torch.Tensor:
    """Quantize a matrix to NF4 with doubly quantized scales and dequantize it, to FP32 on the CPU.

    The device and type are those of training, because the mean of the scales depends on both: the result is exactly
    what the adapter was trained with.
    """
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    device = compute_device()
    original = weight.to(device, compute_dtype(device))
    packed, state = quantize_4bit(original, blocksize=BLOCK, quant_type="nf4", compress_statistics=True)
    restored: torch.Tensor = dequantize_4bit(packed, state)
    return restored.to(original.dtype).float().cpu()
