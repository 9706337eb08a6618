"""A full disk: how it differs from other failures, and the ballast that leaves room to record the pause."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
WORDS = (*(os.strerror(number).lower() for number in FULL), "database or disk is full")
"""How a full disk is worded by the system, as capsules and the weights' library pass it on, and by SQLite."""
CHUNK_BYTES = 1 << 20


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, means that no space is left."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            return True
        if any(words in str(error).lower() for words in WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def free_bytes(folder: Path) -> int:
    """Free space where a folder is."""
    return shutil.disk_usage(folder).free


class Ballast:
    """A file of real bytes that is there to be given up."""

    def __init__(self, path: Path, mib: int) -> None:
        self._path = path
        self.size = mib << 20

    def load(self) -> None:
        """Make it, unless it is there; OSError where it finds no room, and then nothing of it is left."""
        if self.size == 0 or self._is_whole():
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("wb") as file:
                # Random, since a file system that compresses would keep nothing for a file of zeros.
                for _ in range(self.size // CHUNK_BYTES):
                    file.write(os.urandom(CHUNK_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Give its space back."""
        self._path.unlink(missing_ok=True)

    def _is_whole(self) -> bool:
        try:
            found = self._path.stat()
        except OSError:
            return False
        # By its blocks too: a copy made with holes in it holds no space.
        return found.st_size == self.size and found.st_blocks * 512 >= self.size
