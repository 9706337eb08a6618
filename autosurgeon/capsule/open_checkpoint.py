"""Open a checkpoint as generation and training do, and refuse one whose files and model disagree."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from autosurgeon.capsule.load_checkpoint import open_tokenizer, refuse_misfit
from autosurgeon.capsule.tokenization import decode, prompt_tokens
from autosurgeon.core.jobs import OpenJob, OpenResult
from autosurgeon.core.shapes import weight_files
from autosurgeon.errors import PackError

PROGRAM = "def solve(xs):\n    if xs:\n        return  [X , 1]\n\n"
"""A text that a tokenizer has to keep, but for blanks at its beginning."""


def open_checkpoint(job: OpenJob, workdir: Path) -> OpenResult:
    """Compare config, tokenizer, tensors and model; no weights are held in memory.

    Raises:
        PackError: names the first disagreement, and what mends it.

    """
    folder = job.model
    with _refused("config.json", folder):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if getattr(config, "quantization_config", None) is not None:
        raise PackError(
            "a checkpoint's config names a quantization",
            got="quantization_config",
            wanted="plain weights; where they are plain already, remove that key",
            where=folder / "config.json",
        )
    with _refused("tokenizer.json", folder):
        tokenizer = open_tokenizer(folder)
    # On the meta device, so that only names and shapes are compared.
    with _refused("the model", folder):
        model, found = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    refuse_misfit(folder, found)
    _check_tokens(folder, tokenizer, model)
    _check_values(folder)
    return OpenResult(architecture=type(model).__name__, parameters=model.num_parameters())


@contextlib.contextmanager
def _refused(part: str, folder: Path) -> Iterator[None]:
    """Whatever transformers raises for a part of a checkpoint is a fault of that part, except for lack of memory."""
    try:
        yield
    except (PackError, MemoryError, ImportError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # tokenizers and configs raise many types, bare Exception among them
        got = f"{type(error).__name__}: {error}"
        raise PackError(
            f"transformers cannot open {part} of a checkpoint", got=" ".join(got.split())[:300], where=folder
        ) from error


def _check_tokens(folder: Path, tokenizer: Any, model: Any) -> None:
    """Refuse a tokenizer that the embedding does not fit, or without an end token, with which no answer ends."""
    rows = model.get_input_embeddings().weight.shape[0]
    # The file's own tokens: transformers adds a default of the tokenizer's class, which no text brings about.
    with _refused("tokenizer.json", folder):
        known = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab(with_added_tokens=True)
    token = max(known, key=lambda name: known[name], default=None)
    if token is not None and known[token] >= rows:
        got = f"token {known[token]} ({token!r}) of tokenizer.json, and an embedding of {rows} rows"
        what = "a tokenizer has tokens that the model lacks"
        raise PackError(what, got=got, wanted="the tokenizer of this model", where=folder)
    end = tokenizer.eos_token_id
    if end is None or end >= rows:
        raise PackError(
            "a tokenizer names no end token of the model, so no answer would end",
            got=f"eos_token {tokenizer.eos_token!r}",
            wanted="the model's own eos_token in tokenizer_config.json",
            where=folder,
        )
    kept = decode(tokenizer, prompt_tokens(tokenizer, None, PROGRAM))
    if kept.lstrip(" ") != PROGRAM:
        raise PackError(
            "a tokenizer does not keep the line breaks, blanks and letters of a program, so no answer could be right",
            got=repr(kept),
            wanted=repr(PROGRAM),
            where=folder,
        )


def _check_values(folder: Path) -> None:
    """Refuse weights that are not finite, with which every answer is random."""
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  # no mapping
                tensor = tensors.get_tensor(name)
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                    raise PackError(
                        "a checkpoint has weights that are not finite", got=f"NaN or infinity in {name}", where=file
                    )
