"""Weights that hold a few bytes of state instead of a network, in a checkpoint that passes every pack check."""

from __future__ import annotations

from pathlib import Path

from autosurgeon.core.pack import WEIGHTS_FILE
from autosurgeon.core.tensorfile import header_bytes, padded_header, parse_header


def write_checkpoint(folder: Path, state: bytes, adapted: int) -> None:
    """Write a checkpoint.

    Args:
        folder: created if missing.
        state: an even number of bytes, stored as BF16 weights.
        adapted: the number of parameters of a LoRA of rank 1 on the simulated model, stored as an empty matrix, since
            the policy bounds parameters per row.

    """
    folder.mkdir(parents=True, exist_ok=True)
    first, _ = padded_header([("adapted.weight", "BF16", (adapted, 0)), ("state", "BF16", (len(state) // 2,))])
    (folder / WEIGHTS_FILE).write_bytes(first + state)
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}", encoding="utf-8")


def read_checkpoint(folder: Path) -> tuple[bytes, int]:
    """The state of such a checkpoint, and its parameters of a LoRA of rank 1; PackError for an invalid file."""
    path = folder / WEIGHTS_FILE
    raw = path.read_bytes()
    length = header_bytes(raw[:8], str(path))
    header = parse_header(raw[8 : 8 + length], str(path))
    adapted = next(tensor.shape[0] for tensor in header.tensors if tensor.name == "adapted.weight")
    return raw[header.data_start :], adapted
