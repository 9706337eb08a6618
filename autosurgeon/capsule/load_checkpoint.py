"""Load a checkpoint folder: safetensors only, without remote code or network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        PackError: the folder is missing, or its tensors are not the model's.

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
    model, found = AutoModelForCausalLM.from_pretrained(
        folder,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **options,
    )
    refuse_misfit(folder, found)
    return model if nf4 else model.to(device)


def refuse_misfit(folder: Path, found: Mapping[str, Any]) -> None:
    """Raise PackError where the files' tensors are not the model's, by name; transformers fills the rest at random.

    Args:
        folder: the checkpoint.
        found: what `from_pretrained` reports with `output_loading_info`.

    """
    what, wanted = "a checkpoint's tensors are not those of its model", "the files that belong to this config.json"
    for name, stored, expected in sorted(found["mismatched_keys"]):
        got = f"{name} of shape {tuple(stored)} for {tuple(expected)}"
        raise PackError(what, got=got, wanted=wanted, where=folder)
    missing, foreign = sorted(found["missing_keys"]), sorted(found["unexpected_keys"])
    if missing or foreign:
        parts = [_named("no {}, which the model has", missing), _named("{}, which the model lacks", foreign)]
        raise PackError(what, got="; ".join(filter(None, parts)), wanted=wanted, where=folder)


def _named(text: str, names: Sequence[str]) -> str:
    rest = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return text.format(names[0] + rest) if names else ""
