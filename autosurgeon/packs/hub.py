"""A hub's checkpoint: fetched by commit, once, and nothing of it but weights and JSON."""

from __future__ import annotations

import contextlib
from pathlib import Path

from autosurgeon.errors import PackError, UserError
from autosurgeon.packs.checkpoint import check_base

WANTED = ["*.safetensors", "*.json"]
NESTED = ["*/*"]
"""Folders inside a repository hold other forms of the model."""


def fetch_checkpoint(name: str, revision: str) -> Path:
    """The folder of `owner/name` at a commit of 40 hex digits, in the hub's cache; the network is asked once.

    The hub is huggingface_hub's: HF_ENDPOINT, HF_HOME and HF_TOKEN hold.

    Raises:
        UserError: huggingface_hub is not installed.
        PackError: the checkpoint is neither in the cache nor to be had.

    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise UserError(
            "a hub's checkpoint needs huggingface_hub", wanted="pip install 'autosurgeon[capsule]'", got=error
        ) from error
    with contextlib.suppress(LocalEntryNotFoundError, PackError):  # nothing is there, or a fetch was cut short
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=WANTED, ignore_patterns=NESTED, local_files_only=True
            )
        )
        check_base(folder)
        return folder
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=WANTED, ignore_patterns=NESTED))
    except Exception as error:  # of the network, of the hub, of the cache: there is no organ, whatever it was
        raise PackError(
            "a hub's checkpoint cannot be fetched", got=f"{type(error).__name__}: {error}", where=f"{name}@{revision}"
        ) from error
