"""A hub's checkpoint: fetched by commit, once, and nothing of it but weights and JSON."""

from __future__ import annotations

import contextlib
from pathlib import Path

from autosurgeon.errors import PackError, UserError
from autosurgeon.packs.checkpoint import check_base

WANTED = ["*.safetensors", "*.json"]
NESTED = ["*/*"]
"""Folders inside a repository hold other forms of the model."""


ASK_S = 10.0


def fetch_checkpoint(name: str, revision: str) -> Path:
    """The folder of `owner/name` at a commit of 40 hex digits, in the hub's cache; the network is asked once.

    The hub is huggingface_hub's: HF_ENDPOINT, HF_HOME and HF_TOKEN hold.

    Raises:
        UserError: huggingface_hub is not installed.
        PackError: the checkpoint is neither in the cache nor to be had.

    """
    folder = cached_checkpoint(name, revision)
    if folder is not None:
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=WANTED, ignore_patterns=NESTED))
    except Exception as error:  # of the network, of the hub, of the cache: there is no organ, whatever it was
        raise PackError(
            "a hub's checkpoint cannot be fetched", got=f"{type(error).__name__}: {error}", where=f"{name}@{revision}"
        ) from error


def cached_checkpoint(name: str, revision: str) -> Path | None:
    """The folder of a checkpoint in the hub's cache; None where it is not there, or not whole. No network is asked.

    Raises:
        UserError: huggingface_hub is not installed.

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
    return None


def ask_hub(name: str, revision: str) -> list[str]:
    """The files of `owner/name` at a commit, by the hub's answer; PackError where there is none."""
    from huggingface_hub import HfApi

    try:
        found = HfApi().model_info(name, revision=revision, timeout=ASK_S).siblings or []
    except Exception as error:  # as where it is fetched
        raise PackError(
            "a hub's checkpoint is not in the cache, and the hub cannot be asked for it",
            got=f"{type(error).__name__}: {error}",
            wanted=f"a hub that answers, or HF_HOME filled elsewhere: `hf download {name} --revision {revision}`",
            where=f"{name}@{revision}",
        ) from error
    return [file.rfilename for file in found]
