"""Guards of standard output and error against failed writes: a closed pipe or terminal, a full or absent file.

`guard_streams` guards both once, at the program's start. A listing whose reader is gone ends with OutputLostError. Work
that continues without a reader runs in a block of `unread_output`. A failed write to standard error is dropped.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OnLost = Callable[[str], None]
"""Called once with the cause."""
GONE = {
    errno.EPIPE: "the reader of standard output is gone",
    errno.EIO: "the terminal was closed",
    errno.ENXIO: "the terminal was closed",
    errno.ENOSPC: "standard output is full",
    errno.EDQUOT: "standard output is full",
}


class OutputLostError(Exception):
    """Standard output cannot be written, so the rest of the listing is lost."""

    def __init__(self, error: OSError) -> None:
        super().__init__(GONE.get(error.errno or 0, f"standard output cannot be written: {error.strerror}"))
        self.reader_is_gone = error.errno in (errno.EPIPE, errno.EIO, errno.ENXIO)


class _Guarded(io.FileIO):
    """A descriptor that calls `failed` on its first failed write and drops all later writes."""

    def __init__(self, descriptor: int, failed: Callable[[OSError], None]) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.failed = failed
        self._is_lost = False

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if self._is_lost:
            return size
        try:
            # None means that the descriptor is non-blocking and its reader slow.
            while (written := super().write(data)) is None:
                select.select([], [self.fileno()], [])
            return written
        except OSError as error:
            self._is_lost = True
            self.failed(error)
            return size


def guard_streams() -> None:
    """Guard standard output and error, and open the null device for closed standard descriptors.

    A character that the encoding lacks is replaced. A stream that a caller has substituted is left unchanged.
    """
    for descriptor in range(3):
        _fill(descriptor)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(sys.stdout, 1, _raise)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(sys.stderr, 2, lambda _: None)


def _fill(descriptor: int) -> None:
    """Open the null device at a closed descriptor, which the next opened file would take."""
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        os.dup2(opened, descriptor)
        if opened != descriptor:
            os.close(opened)
        os.set_inheritable(descriptor, True)


def _stream(before: Any, descriptor: int, failed: Callable[[OSError], None]) -> io.TextIOWrapper:
    raw = _Guarded(descriptor, failed)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before else "utf-8",
        errors="replace" if descriptor == 1 else "backslashreplace",
        line_buffering=before.line_buffering if before else False,
        write_through=before.write_through if before else False,
    )


def _raise(error: OSError) -> None:
    raise OutputLostError(error)


@contextlib.contextmanager
def unread_output(on_lost: OnLost, root: Path | None = None) -> Iterator[None]:
    """Keep a block running when output is lost; `on_lost` gets the cause once.

    Args:
        on_lost: called with the cause.
        root: a folder on whose full disk the work waits for space: a regular file on that disk loses lines and is tried
            again.

    """
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(raw, _Guarded):
        yield
        return

    def failed(error: OSError) -> None:
        if root is not None and error.errno in (errno.ENOSPC, errno.EDQUOT) and _lies_beside(raw.fileno(), root):
            raw._is_lost = False
        else:
            on_lost(str(OutputLostError(error)))

    before, raw.failed = raw.failed, failed
    try:
        yield
    finally:
        raw.failed = before


def _lies_beside(descriptor: int, folder: Path) -> bool:
    """Whether the descriptor is a regular file on the folder's file system."""
    try:
        found = os.fstat(descriptor)
        return stat.S_ISREG(found.st_mode) and found.st_dev == folder.stat().st_dev
    except OSError:
        return False


def takes_any_character() -> bool:
    """Whether standard output's encoding represents every character."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")
