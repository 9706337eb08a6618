"""Files on disk: hash, flush, and write atomically."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from autosurgeon.core.ports import Beat, no_beat
from autosurgeon.errors import durably

CHUNK_BYTES = 4 << 20


def hash_file(path: Path, beat: Beat = no_beat) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            beat()
    return digest.hexdigest()


def flush(path: Path) -> None:
    """Flush a file or folder to disk; DurabilityError if that fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with durably(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Create a folder with its parents, durably."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        flush(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename, and flush the folder of the new name; the caller has flushed the content."""
    with durably(target):
        source.rename(target)
    flush(target.parent)


def write_whole(path: Path, text: str) -> None:
    """Write, flush and rename, so that a reader sees the old content or the new, never a partial file."""
    staged = part_of(path)
    staged.write_text(text, encoding="utf-8")
    flush(staged)
    move(staged, path)


def part_of(path: Path) -> Path:
    """Return the path of a file while it is written."""
    return path.with_name(path.name + ".part")
