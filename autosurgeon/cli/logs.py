"""Where structlog's events go: a JSON line each in the workspace, and nowhere else."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import structlog


class _Lossy:
    """A log that loses a line where the disk is full: the line is not worth the run."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def write(self, text: str) -> int:
        try:
            self._raw.write(text.encode())
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Log to a file for the length of a block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as raw:
        file = cast("TextIO", _Lossy(raw))
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=structlog.WriteLoggerFactory(file=file),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.reset_defaults()
