"""`live.json`: what a runtime reads to find the pack in production. A projection; the store is the truth."""

from __future__ import annotations

import json
from pathlib import Path

from autosurgeon.failpoints import reach
from autosurgeon.packs.files import flush, move, part_of


def write_live(path: Path, *, version: int, pack: str, folder: Path, anew: bool = False) -> None:
    """Replace the file whole.

    Args:
        path: the file.
        version: the live version.
        pack: the live pack.
        folder: where the pack is, seen from the file.
        anew: write it though it says so already: what an earlier process wrote may never have reached the disk.

    """
    content = {"format": "autosurgeon.live/1", "version": version, "pack": pack, "folder": str(folder)}
    text = json.dumps(content, indent=1) + "\n"
    if anew or not path.is_file() or path.read_text(encoding="utf-8") != text:
        staged = part_of(path)
        staged.write_text(text, encoding="utf-8")
        flush(staged)
        reach("live-file-staged")
        move(staged, path)
        reach("live-file-renamed")
