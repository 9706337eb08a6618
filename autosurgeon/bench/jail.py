"""The jail: for each candidate a fresh process, forked from a bare interpreter, with limits and an empty folder.

Promised: the candidate runs in another process and session than the grader; CPU time, address space, file size and
wall time are bounded; what it says is bounded, and goes where no other candidate can write; its process group is killed
at the end.

Not promised yet: it is no sandbox against an attacker. It can read what its user can read and reach the network, leave
a daemon behind, and as root raise its own limits.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from autosurgeon.core.envelope import Poison
from autosurgeon.errors import WorldError

INMATE = Path(__file__).with_name("inmate.py")
MAX_ANSWER_BYTES = 1 << 20
WALL_OVER_CPU = 3


class Limits(NamedTuple):
    """Per candidate."""

    cpu_s: int
    memory_bytes: int


class Testimony(NamedTuple):
    """What the candidate said, one JSON object per input, and why it stopped early, if it did."""

    answers: list[dict[str, Any]]
    ended: Poison | None
    detail: str


class Jail:
    """One bare interpreter that forks candidates, one at a time; close it when done."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._folder = tempfile.TemporaryDirectory(prefix="autosurgeon-jail-", ignore_cleanup_errors=True)
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(INMATE)],
                cwd=self._folder.name,
                env={"PYTHONHASHSEED": "0", "LANG": "C.UTF-8"},
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def run(self, source: str, kind: str, entry_point: str | None, given: list[str]) -> Testimony:
        """Run a candidate on all inputs; WorldError when the jail itself is gone."""
        cpu_s, memory = self._limits
        with tempfile.TemporaryDirectory(dir=self._folder.name, ignore_cleanup_errors=True) as folder:
            request = {
                "source": source,
                "kind": kind,
                "entry_point": entry_point,
                "given": given,
                "folder": folder,
                "limits": [
                    # Past the soft limit the kernel says so; past the hard one it kills.
                    ("RLIMIT_CPU", cpu_s, cpu_s + 1),
                    ("RLIMIT_AS", memory, memory),
                    ("RLIMIT_FSIZE", 1 << 20, 1 << 20),
                    ("RLIMIT_NOFILE", 32, 32),
                    ("RLIMIT_CORE", 0, 0),
                ],
            }
            read_end, write_end = os.pipe()
            try:
                try:
                    # By file, since a message has to fit into the socket's buffer and an input may be large.
                    with tempfile.TemporaryFile() as letter:
                        letter.write(json.dumps(request).encode())
                        letter.seek(0)
                        socket.send_fds(self._channel, [b"run"], [write_end, letter.fileno()])
                finally:
                    os.close(write_end)
                pid = self._number()
                said, ended = _listen(read_end, time.monotonic() + cpu_s * WALL_OVER_CPU)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                return _testimony(said, ended, self._number())
            except OSError as error:
                raise WorldError(f"the jail failed: {error}") from error
            finally:
                os.close(read_end)

    def _number(self) -> int:
        answer = self._channel.recv(64)
        if not answer:
            raise WorldError("the jail ended")
        return int(answer)

    def close(self) -> None:
        """End the interpreter and what it forked."""
        self._channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._folder.cleanup()


def _listen(descriptor: int, deadline: float) -> tuple[bytes, Poison | None]:
    """Read until the candidate is done, silent for too long, or says too much."""
    said = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return bytes(said), Poison.TIMEOUT
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return bytes(said), None
        said += chunk
        if len(said) > MAX_ANSWER_BYTES:
            return b"", Poison.OVERFLOW


def _testimony(said: bytes, ended: Poison | None, code: int) -> Testimony:
    answers = []
    for line in said.splitlines():
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(answer, dict):
            break
        answers.append(answer)
    if ended is None and code == -signal.SIGXCPU:
        ended = Poison.TIMEOUT
    elif ended is None:
        ended = Poison.KILLED
    return Testimony(answers, ended, f"exit {code}")
