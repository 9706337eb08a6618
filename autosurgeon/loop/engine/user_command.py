"""Run a command of the user's that deploys or packs, with a deadline; the end of its output is kept."""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from autosurgeon.core.ports import Beat
from autosurgeon.loop.engine.command_guard import CLEAR_S

KEPT_BYTES = 4000
"""Of what a hook writes, its end."""
POLL_S = 0.05
CHUNK_BYTES = 1 << 16
_UNPRINTABLE = re.compile(r"[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\U0010ffff]")


class Ran(NamedTuple):
    """How a hook ended."""

    exit_code: int | None
    """None where it was killed at its deadline; 128 and the number where a signal ended it, 127 where none began."""
    output: str
    """The end of what it wrote, to standard output and error."""

    @property
    def error(self) -> str | None:
        """Why it came to nothing, with its last line; None where it ended well."""
        if self.exit_code == 0:
            return None
        last = next((line.strip() for line in reversed(self.output.splitlines()) if line.strip()), "")
        end = "was killed at its deadline" if self.exit_code is None else f"ended with exit code {self.exit_code}"
        return f"{end}: {last[:200]}" if last else end


def run_hook(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, deadline_s: float, beat: Beat
) -> Ran:
    """Run a command in a folder, to its end or its deadline; it never outlives this process.

    Args:
        command: the program and its arguments.
        environment: what it gets besides this process's own.
        folder: where it stands.
        deadline_s: seconds after which it is killed with all that it started.
        beat: called while it is within its deadline.

    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "autosurgeon.loop.engine.command_guard", *command],
        cwd=folder,
        env={**os.environ, **environment},
        # The death pipe: Python opens it close-on-exec, so that no other child holds this end.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None  # both were asked for
    output, late, deadline = b"", False, time.monotonic() + deadline_s
    try:
        while process.poll() is None and not late:
            output = _read(process.stdout.fileno(), output, POLL_S)
            beat()
            late = time.monotonic() > deadline
    finally:
        process.stdin.close()
        _end(process)
        # Not to its end, which may never come: what the command left running may hold the other one.
        with contextlib.suppress(OSError):
            output = _read(process.stdout.fileno(), output, 0)
        process.stdout.close()
    text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", output.decode("utf-8", errors="replace"))
    return Ran(None if late else process.returncode, text)


def _read(descriptor: int, before: bytes, wait_s: float) -> bytes:
    """What was written before and since, as much as is kept."""
    if not select.select([descriptor], [], [], wait_s)[0]:
        return before
    chunk = os.read(descriptor, CHUNK_BYTES)
    if not chunk:
        time.sleep(wait_s)  # the command has closed its output, and goes on
    return (before + chunk)[-KEPT_BYTES:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the leash, which kills once its standard input has ended; then do without it."""
    try:
        process.wait(2 * CLEAR_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
