"""`live.json`, which a runtime reads to find the live pack: a projection of the store, which is the source of truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from autosurgeon.errors import WorkspaceError
from autosurgeon.failpoints import reach
from autosurgeon.packs.files import flush, move, part_of


class LiveClaim(NamedTuple):
    """The version and pack in the file."""

    version: int
    """0 if the file is so damaged that it has none."""
    pack: str
    """Empty if the file is damaged."""


FORMAT = "autosurgeon.live/1"
HIGHEST = 2**62
"""A higher version is damage."""


def read_live(path: Path) -> LiveClaim | None:
    """Return the content of the file; None if there is no file.

    Raises:
        WorkspaceError: a newer autosurgeon wrote the file.

    """
    try:
        content = json.loads(path.read_bytes())
        version, pack, form = content.get("version"), content.get("pack"), content.get("format", FORMAT)
    except FileNotFoundError:
        return None
    except (IsADirectoryError, ValueError, AttributeError, RecursionError):
        return LiveClaim(0, "")
    if form != FORMAT and str(form).startswith("autosurgeon.live/"):
        what = "live.json was written by a newer autosurgeon; upgrade this one"
        raise WorkspaceError(what, got=form, wanted=FORMAT, where=path)
    is_version = type(version) is int and 0 < version <= HIGHEST
    return LiveClaim(version if is_version else 0, pack if isinstance(pack, str) else "")


def write_live(path: Path, *, version: int, pack: str, folder: Path, anew: bool = False) -> None:
    """Replace the file atomically, but never by a lower version or by another pack of the same version.

    Args:
        path: the file.
        version: the live version.
        pack: the live pack.
        folder: the pack's folder, relative to the file.
        anew: write even if nothing changes, because an earlier write may not have reached the disk.

    Raises:
        WorkspaceError: the file has a higher version, or another pack of this version.

    """
    known = read_live(path)
    if known is not None and (known.version > version or (known.version == version and known.pack not in ("", pack))):
        raise WorkspaceError(
            "a live version never goes down",
            got=f"version {version}, pack {pack[:12]}, for a file with version {known.version}, pack {known.pack[:12]}",
            wanted="the memory that this file was written from; see `autosurgeon restore`",
            where=path,
        )
    content = {"format": FORMAT, "version": version, "pack": pack, "folder": str(folder)}
    text = json.dumps(content, indent=1) + "\n"
    if anew or not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != text:
        staged = part_of(path)
        staged.write_text(text, encoding="utf-8")
        flush(staged)
        reach("live-file-staged")
        move(staged, path)
        reach("live-file-renamed")
