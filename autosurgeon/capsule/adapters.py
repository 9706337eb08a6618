"""Adapters on the disk: the one at the end of training, and those that are saved on the way.

The latter stand beside the training state where one is kept, since the job's own folder begins empty with each try: a
state names those that came before it, and what is saved after the last state is made again. At the end they are copied.
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
    """Save the adapter, its config in one spelling: no path of this machine, lists sorted."""
    model.save_pretrained(folder)
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = None
    config["target_modules"] = sorted(config["target_modules"])
    write_whole(folder / CONFIG_FILE, json.dumps(config, indent=1, sort_keys=True) + "\n")
    (folder / "README.md").unlink(missing_ok=True)


def adapter_digest(folder: Path) -> str:
    """SHA-256 over config and weights; OSError where one is missing."""
    files = (folder / CONFIG_FILE, folder / WEIGHTS_FILE)
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def checkpoint_name(number: int) -> str:
    """The folder of the adapter that was saved on the way as the `number`-th, from 1."""
    return f"checkpoint-{number:02d}"


class CheckpointFolder:
    """Where adapters are saved on the way.

    Args:
        root: where they are kept while training goes on.
        workdir: where they are wanted at the end; may be the same.

    """

    def __init__(self, root: Path, workdir: Path) -> None:
        self._root, self._workdir = root, workdir

    def save(self, model: Any, number: int) -> str:
        """Save the adapter as it is now, whole or not at all; its digest. One of that number makes way for it."""
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
        """Have the first `count` of them in the workdir."""
        if self._root == self._workdir:
            return
        for name in map(checkpoint_name, range(1, count + 1)):
            shutil.copytree(self._root / name, self._workdir / name, dirs_exist_ok=True)
