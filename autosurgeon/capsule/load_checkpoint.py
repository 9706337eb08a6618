"""Load a checkpoint folder: safetensors only, without remote code or network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from autosurgeon.errors import PackError


def compute_device() -> torch.device:
    """Return the GPU if there is one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def compute_dtype(device: torch.device) -> torch.dtype:
    """Return BF16 for a GPU and FP32 for a CPU, because BF16 is tens of times slower on most CPUs."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def check_present(folder: Path) -> None:
    """Raise PackError if the folder is missing; transformers would look for its name on a hub."""
    if not folder.is_dir():
        raise PackError("a model folder is missing", where=folder)


def open_tokenizer(folder: Path) -> Any:
    """Return the folder's tokenizer, which pads on the left, as generation needs it; PackError if it is missing."""
    check_present(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def open_model(folder: Path, *, nf4: bool = False) -> Any:
    """Return the folder's causal model on the compute device; `nf4` loads its linear layers in 4 bits by bitsandbytes.

    Raises:
        PackError: the folder is missing.

    """
    check_present(folder)
    device = compute_device()
    options: dict[str, Any] = {"dtype": compute_dtype(device)}
    if nf4:
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute_dtype(device),
        )
        options["device_map"] = {"": torch.cuda.current_device() if device.type == "cuda" else device.type}
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, **options
    )
    return model if nf4 else model.to(device)
