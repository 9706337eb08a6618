"""Adapters on disk: the final one of a training, and the intermediate ones.

Intermediate adapters are stored beside the training's checkpoint, if it keeps one, because the job's own folder is
empty at the start of each attempt. A checkpoint names the adapters saved before it; later ones are created again. At
the end of training they are copied to the job's folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from autosurgeon.capsule.workdir import flush, write_whole

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"


def save_adapter(model: Any, folder: Path) -> None:
    """Save the adapter with a canonical config: without paths of this machine, with sorted lists."""
    model.save_pretrained(folder)
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = None
    config["target_modules"] = sorted(config["target_modules"])
    write_whole(folder / CONFIG_FILE, json.dumps(config, indent=1, sort_keys=True) + "\n")
    (folder / "README.md").unlink(missing_ok=True)


def adapter_digest(folder: Path) -> str:
    """Return the SHA-256 of config and weights; OSError if one is missing."""
    files = (folder / CONFIG_FILE, folder / WEIGHTS_FILE)
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def checkpoint_name(number: int) -> str:
    """Return the folder's name of the `number`-th intermediate adapter, from 1."""
    return f"checkpoint-{number:02d}"


class CheckpointFolder:
    """The intermediate adapters of a training.

    Args:
        root: their folder during training.
        workdir: their folder at the end; may be the same.

    """

    def __init__(self, root: Path, workdir: Path) -> None:
        self._root, self._workdir = root, workdir

    def save(self, model: Any, number: int) -> str:
        """Save the current adapter atomically, replacing one of the same number, and return its digest."""
        folder = self._root / checkpoint_name(number)
        staged = folder.with_name(folder.name + ".part")
        for old in (staged, folder):
            shutil.rmtree(old, ignore_errors=True)
        staged.mkdir(parents=True)
        save_adapter(model, staged)
        for file in staged.iterdir():
            flush(file)
        flush(staged)
        staged.rename(folder)
        flush(self._root)
        return adapter_digest(folder)

    def deliver(self, count: int) -> None:
        """Copy the first `count` adapters to the workdir."""
        if self._root == self._workdir:
            return
        for name in map(checkpoint_name, range(1, count + 1)):
            shutil.copytree(self._root / name, self._workdir / name, dirs_exist_ok=True)
