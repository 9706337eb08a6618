"""Where structlog's events go: a JSON line each in the workspace, and nowhere else."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, cast

import structlog


class _LogFile:
    """A log that may be renamed away at any time, and that loses a line where the disk is full.

    The next line after a rename goes to a new file of the name, so that `logrotate` needs no signal and no copy.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw = path.open("ab", buffering=0)

    def _follow(self) -> None:
        """Open the name anew where it is another file by now, or none."""
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
            # The line is not worth the run.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self._raw.close()


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Log to a file for the length of a block."""
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
