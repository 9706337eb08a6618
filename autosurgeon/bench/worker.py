"""A cell grades one program at a time, with one jail for the tests and one for the candidates, joined by a socket."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import time
from typing import Any, Literal, NamedTuple

from autosurgeon.bench.jail import Level, start
from autosurgeon.bench.packages import Package
from autosurgeon.bench.test_usage import uses
from autosurgeon.core.task import Task
from autosurgeon.errors import WorldError

KNOWN = 256
"""Tasks that an oracle caches; the same number as in `inside/oracle.py`."""
GRACE_S = 10
"""Seconds that the tests may run beyond the candidate's own limit."""
REFERENCE_SLOWER = 5
"""Factor on a program's wall-clock limit for a reference that first computes the wanted answers."""

Way = Literal["split", "in_place", "shared"]
"""How tests call the candidate: by value; by value with in-place changes copied back; in one interpreter."""


class Limits(NamedTuple):
    """Limits of one program: CPU seconds, wall-clock seconds, bytes of address space and of an answer."""

    cpu_s: float
    wall_s: float
    memory_bytes: int
    answer_bytes: int = 8 << 20
    """Of one encoded answer; a program may print half as much."""


class Testimony(NamedTuple):
    """The outcome of one program: `cause` is None when every check held; `flaw` is a defect of the task itself."""

    cause: str | None
    detail: str
    held: int
    checks: int
    cpu_s: float
    flaw: str = ""


def patience(task: Task, limits: Limits) -> float:
    """Return the seconds to wait for a verdict; longer where the reference first computes the wanted answers."""
    computes = any(case.wanted is None for case in task.cases)
    return limits.wall_s * (REFERENCE_SLOWER if computes else 1) + GRACE_S


class CellError(WorldError):
    """The cell ended; `late` when it exceeded the time to wait."""

    def __init__(self, what: str, *, late: bool = False) -> None:
        super().__init__(what)
        self.late = late


class Cell:
    """Both jails of one thread: only the thread that makes it uses it, and it ends with that thread or `close`."""

    def __init__(self, level: Level, packages: tuple[Package, ...] = ()) -> None:
        self._known: dict[str, None] = {}
        link, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel, theirs = socket.socketpair()
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            with link, other, theirs:
                self._processes.append(start(level, "candidate_server.py", [], other.fileno(), packages))
                self._processes.append(start(level, "oracle.py", [link.fileno()], theirs.fileno(), packages))
        except BaseException:
            self.close()
            raise

    def examine(self, key: str, task: Task, source: str, way: Way, limits: Limits) -> Testimony:
        """Run one program against a task's tests; CellError when the cell ends before it answers."""
        request: dict[str, Any] = {
            "key": key,
            "source": source,
            "way": way,
            "limits": limits._asdict(),
            "nonce": os.urandom(8).hex(),
        }
        if key not in self._known:
            if len(self._known) >= KNOWN:
                del self._known[next(iter(self._known))]
            self._known[key] = None
            request["spec"] = spec_of(task)
        body = json.dumps(request).encode()
        patience_s = patience(task, limits)
        self._channel.settimeout(patience_s)
        try:
            self._channel.sendall(struct.pack(">I", len(body)) + body)
            answer = self._answer(time.monotonic() + patience_s)
        except OSError as error:
            raise CellError(f"the cell ended: {error}") from error
        if "flaw" in answer:
            return Testimony("flaw", answer["flaw"], 0, 0, 0.0, answer["flaw"])
        return Testimony(**answer)

    def _answer(self, deadline: float) -> dict[str, Any]:
        size = struct.unpack(">I", self._exactly(4, deadline))[0]
        answer = json.loads(self._exactly(size, deadline))
        assert isinstance(answer, dict)
        return answer

    def _exactly(self, size: int, deadline: float) -> bytes:
        received = b""
        while len(received) < size:
            self._channel.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                chunk = self._channel.recv(size - len(received))
            except TimeoutError as error:
                raise CellError("the tests do not end", late=True) from error
            if not chunk:
                raise CellError("the cell ended")
            received += chunk
        return received

    def close(self) -> None:
        """End both jails and everything that runs in them."""
        self._channel.close()
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def spec_of(task: Task) -> dict[str, Any]:
    """Return the part of a task that the tests' side needs."""
    reference = task.prelude + task.reference if task.reference is not None else None
    return {
        "kind": task.kind,
        "entry_point": task.entry_point,
        "cases": [case.model_dump() for case in task.cases],
        "tests": task.tests,
        "bind": not uses(task).names_candidate,
        "support": task.support,
        "accept": task.accept,
        "atol": task.atol,
        "reference": reference,
    }
