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
"""The bytes of a hook's output that are kept, from its end."""
POLL_S = 0.05
CHUNK_BYTES = 1 << 16
_UNPRINTABLE = re.compile(r"[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\U0010ffff]")


class Ran(NamedTuple):
    """The result of a hook."""

    exit_code: int | None
    """None where it was killed at its deadline; 128 plus the number of a signal; 127 where it did not start."""
    output: str
    """The end of its standard output and error."""

    @property
    def error(self) -> str | None:
        """Why it failed, with its last line; None on success."""
        if self.exit_code == 0:
            return None
        last = next((line.strip() for line in reversed(self.output.splitlines()) if line.strip()), "")
        end = "was killed at its deadline" if self.exit_code is None else f"ended with exit code {self.exit_code}"
        return f"{end}: {last[:200]}" if last else end


def run_hook(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, deadline_s: float, beat: Beat
) -> Ran:
    """Run a command in a folder until its end or its deadline; it never outlives this process.

    Args:
        command: the program and its arguments.
        environment: additions to this process's environment.
        folder: its working folder.
        deadline_s: seconds after which it and its descendants are killed.
        beat: called while it runs.

    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "autosurgeon.loop.engine.command_guard", *command],
        cwd=folder,
        env={**os.environ, **environment},
        # Python opens the pipe close-on-exec, so that no other child holds this end.
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
        # Not to the end of the pipe, which a surviving process may hold open.
        with contextlib.suppress(OSError):
            output = _read(process.stdout.fileno(), output, 0)
        process.stdout.close()
    text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", output.decode("utf-8", errors="replace"))
    return Ran(None if late else process.returncode, text)


def _read(descriptor: int, before: bytes, wait_s: float) -> bytes:
    """The kept end of earlier and new output."""
    if not select.select([descriptor], [], [], wait_s)[0]:
        return before
    chunk = os.read(descriptor, CHUNK_BYTES)
    if not chunk:
        time.sleep(wait_s)  # the command has closed its output and still runs
    return (before + chunk)[-KEPT_BYTES:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the guard, which kills at the end of its standard input; then kill the guard."""
    try:
        process.wait(2 * CLEAR_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
