"""`live.json`: what a runtime reads to find the pack in production. A projection; the store is the truth."""

from __future__ import annotations

import json
from pathlib import Path

from autosurgeon.packs.files import write_whole


def write_live(path: Path, *, version: int, pack: str, folder: Path) -> None:
    """Replace the file whole; nothing is written when it says so already."""
    content = {"format": "autosurgeon.live/1", "version": version, "pack": pack, "folder": str(folder)}
    text = json.dumps(content, indent=1) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text)
