"""Recognition of a full disk, and the ballast that leaves room to record the pause."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
WORDS = (*(os.strerror(number).lower() for number in FULL), "database or disk is full")
"""The messages for a full disk, by the system (passed on by capsules and the weights' library) and by SQLite."""
CHUNK_BYTES = 1 << 20


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error or one of its causes is a full disk."""
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
    """The free space of a folder's file system."""
    return shutil.disk_usage(folder).free


class Ballast:
    """A file that reserves disk space."""

    def __init__(self, path: Path, mib: int) -> None:
        self._path = path
        self.size = mib << 20

    def load(self) -> None:
        """Create it if missing; OSError without a remainder where there is no room."""
        if self.size == 0 or self._is_whole():
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("wb") as file:
                # Random, since compression would store nothing for zeros.
                for _ in range(self.size // CHUNK_BYTES):
                    file.write(os.urandom(CHUNK_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Remove it."""
        self._path.unlink(missing_ok=True)

    def _is_whole(self) -> bool:
        try:
            found = self._path.stat()
        except OSError:
            return False
        # By its blocks too: a sparse copy holds no space.
        return found.st_size == self.size and found.st_blocks * 512 >= self.size
