"""Opening a checkpoint folder: safetensors only, no remote code, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from autosurgeon.errors import PackError


def compute_device() -> torch.device:
    """The accelerator where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def compute_dtype(device: torch.device) -> torch.dtype:
    """BF16 on a GPU; FP32 on a CPU, where most have no fast BF16 and it is tens of times slower."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def check_present(folder: Path) -> None:
    """PackError where there is no such folder: transformers would take its name for one of a hub's."""
    if not folder.is_dir():
        raise PackError("a model folder is missing", where=folder)


def open_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer, padding on the left, as generation wants it; PackError when there is no such folder."""
    check_present(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def open_model(folder: Path, *, nf4: bool = False) -> Any:
    """The folder's causal model on the compute device; `nf4` loads its linear layers in 4 bits by bitsandbytes.

    Raises:
        PackError: there is no such folder.

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
