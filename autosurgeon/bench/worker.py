"""A cell: one jail for the tests and one for the candidates, joined by a socket; grades one program at a time."""

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
"""Tasks that an oracle keeps ready; the same number as in `inside/oracle.py`."""
GRACE_S = 10
"""How long the tests may go on after the candidate's own limit."""
REFERENCE_SLOWER = 5
"""Times the wall clock of a program that its task's reference may take to compute the wanted answers."""

Way = Literal["split", "in_place", "shared"]
"""How tests meet the candidate: by value; by value, with in-place changes coming back; in one interpreter."""


class Limits(NamedTuple):
    """Per program: CPU seconds, seconds of wall clock, bytes of address space and of an answer."""

    cpu_s: float
    wall_s: float
    memory_bytes: int
    answer_bytes: int = 8 << 20
    """Of one answer as it crosses; a program may print half of it."""


class Testimony(NamedTuple):
    """What came of one program: `cause` is None when all held; `flaw` is the task's own, if it has one."""

    cause: str | None
    detail: str
    held: int
    checks: int
    cpu_s: float
    flaw: str = ""


def patience(task: Task, limits: Limits) -> float:
    """Seconds to wait for a verdict; more for a task whose wanted answers the reference first has to compute."""
    computes = any(case.wanted is None for case in task.cases)
    return limits.wall_s * (REFERENCE_SLOWER if computes else 1) + GRACE_S


class CellError(WorldError):
    """The cell is gone; `late` when it was given up for taking too long."""

    def __init__(self, what: str, *, late: bool = False) -> None:
        super().__init__(what)
        self.late = late


class Cell:
    """Close it when done. It has to be used by the thread that made it, and dies with that thread."""

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
        """Run one program against a task's tests; CellError when the cell is lost over it."""
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
        said = b""
        while len(said) < size:
            self._channel.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                chunk = self._channel.recv(size - len(said))
            except TimeoutError as error:
                raise CellError("the tests do not end", late=True) from error
            if not chunk:
                raise CellError("the cell ended")
            said += chunk
        return said

    def close(self) -> None:
        """End both jails and whatever runs in them."""
        self._channel.close()
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def spec_of(task: Task) -> dict[str, Any]:
    """What the tests' side has to know of a task."""
    reference = task.prelude + task.reference if task.reference is not None else None
    return {
        "kind": task.kind,
        "entry_point": task.entry_point,
        "cases": [case.model_dump() for case in task.cases],
        "tests": task.tests,
        "bind": not uses(task).says_candidate,
        "support": task.support,
        "accept": task.accept,
        "atol": task.atol,
        "reference": reference,
    }
