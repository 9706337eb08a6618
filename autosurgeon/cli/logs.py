"""The destination of structlog's events: JSON lines in a file of the workspace."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, cast

import structlog


class _LogFile:
    """A log that may be renamed at any time, and that drops a line if the disk is full.

    After a rename, the next line goes to a new file of the same name, so that `logrotate` needs no signal and no copy.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw = path.open("ab", buffering=0)

    def _follow(self) -> None:
        """Reopen the file if it was renamed or removed."""
        mine = os.fstat(self._raw.fileno())
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(mine, self._path.stat()):
                return
        before, self._raw = self._raw, self._path.open("ab", buffering=0)
        before.close()

    def write(self, text: str) -> int:
        try:
            self._follow()
            self._raw.write(text.encode())
        except OSError as error:
            # A lost line is better than a failed run.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        return len(text)

    def flush(self) -> None:
        """Do nothing: writes are unbuffered."""

    def close(self) -> None:
        self._raw.close()


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Log to a file within a block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(_LogFile(path)) as file:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", file)),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.reset_defaults()
