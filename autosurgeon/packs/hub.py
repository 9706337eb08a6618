"""A hub's checkpoint, fetched once, by commit: weights, JSON files and chat template only."""

from __future__ import annotations

import contextlib
from pathlib import Path

from autosurgeon.errors import PackError, UserError
from autosurgeon.packs.checkpoint import check_base

WANTED = ["*.safetensors", "*.json", "*.jinja"]
NESTED = ["*/*"]
"""Folders inside a repository contain other forms of the model."""
ASK_S = 10.0


def fetch_checkpoint(name: str, revision: str) -> Path:
    """Return the folder of `owner/name` at a commit of 40 hex digits, in the hub's cache; the network is used once.

    huggingface_hub fetches it, so HF_ENDPOINT, HF_HOME and HF_TOKEN apply.

    Raises:
        UserError: huggingface_hub is not installed.
        PackError: the checkpoint is not in the cache and cannot be fetched.

    """
    folder = cached_checkpoint(name, revision)
    if folder is not None:
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=WANTED, ignore_patterns=NESTED))
    except Exception as error:  # the network, the hub and the cache raise many types
        raise PackError(
            "a hub's checkpoint cannot be fetched", got=f"{type(error).__name__}: {error}", where=f"{name}@{revision}"
        ) from error


def cached_checkpoint(name: str, revision: str) -> Path | None:
    """Return the folder of a checkpoint in the hub's cache, without the network; None if it is missing or incomplete.

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
    with contextlib.suppress(LocalEntryNotFoundError, PackError):  # it is missing, or a fetch was interrupted
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=WANTED, ignore_patterns=NESTED, local_files_only=True
            )
        )
        check_base(folder)
        return folder
    return None


def ask_hub(name: str, revision: str) -> list[str]:
    """Return the files of `owner/name` at a commit, as the hub lists them; PackError without an answer."""
    from huggingface_hub import HfApi

    try:
        found = HfApi().model_info(name, revision=revision, timeout=ASK_S).siblings or []
    except Exception as error:  # as in `fetch_checkpoint`
        raise PackError(
            "a hub's checkpoint is not in the cache, and the hub cannot be asked for it",
            got=f"{type(error).__name__}: {error}",
            wanted=f"a hub that answers, or HF_HOME filled elsewhere: `hf download {name} --revision {revision}`",
            where=f"{name}@{revision}",
        ) from error
    return [file.rfilename for file in found]
