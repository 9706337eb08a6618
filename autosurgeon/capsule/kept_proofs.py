"""The outcomes of proofs, kept in the capsules' home, so that each is paid once for a model and a runtime.

A kept outcome also makes a base, its adapters and its packs run by the same code, which their comparison needs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
import transformers

from autosurgeon.capsule.workdir import write_whole
from autosurgeon.core.digest import digest_json

VERSION = 1
"""Raised when a proof or a fast path changes."""


def proof_key(model: Any, *conditions: str | int) -> str:
    """Return the digest of what a proof depends on: config, runtime, and the conditions of its use."""
    config = json.loads(model.config.to_json_string(use_diff=False))
    config.pop("_name_or_path", None)
    device = torch.cuda.get_device_name() if model.device.type == "cuda" else model.device.type
    runtime = [torch.__version__, transformers.__version__, device, str(model.dtype)]
    return digest_json({"version": VERSION, "config": config, "runtime": runtime, "conditions": list(conditions)})


def _folder() -> Path | None:
    """Return the folder of outcomes in a capsule's home; None outside of a capsule."""
    return Path.home() / "proofs" if "AUTOSURGEON_PARENT" in os.environ else None


def recall(key: str) -> list[str] | None:
    """Return the outcome of an earlier proof; None without one, or if its file is damaged."""
    folder = _folder()
    if folder is None:
        return None
    try:
        found = json.loads((folder / key).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, list) and all(isinstance(part, str) for part in found) else None


def keep(key: str, outcome: list[str]) -> None:
    """Keep an outcome for later processes."""
    folder = _folder()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / key, json.dumps(outcome))
