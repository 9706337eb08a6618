"""The fork server: forks a capsule for each job, and kills it with all its child processes when the job or loop ends.

The fork server runs between the loop and the capsule. Its standard input is a death pipe: only the loop holds the other
end, so when the loop dies, even by SIGKILL, the fork server reads the end of the file, kills its capsule, and exits. It
does no other work, so a capsule that hangs with the interpreter's lock held cannot prevent that. The fork server is
also the subreaper of a capsule's processes: one that leaves the capsule's group by `setsid` becomes its child when
orphaned.

The fork server reads one JSON object per line. It answers `{"job": path, "log": path, "cgroup": path or null}` with
`{"pid": n}` when the capsule runs, and with `{"exit": code, "survivors": [pids]}` when the capsule and all its child
processes are gone. The code is minus the number of the signal that killed the capsule, or null if it was not reaped;
the survivors are processes that are stuck in the kernel in spite of SIGKILL. `{"kill": true}` ends a running capsule
and a resident one.

A job with `"resident_s": seconds` goes to a resident capsule, which afterwards waits that long for the next such job;
the answer then contains `"resident": true`. Any failure of a job ends the resident capsule, as does a job that leaves a
process behind. Between jobs, `{"end": true}` ends the resident capsule and `{"resident": true}` asks whether there is
one; the answer to both is `{"pid": n or null, "survivors": [pids]}`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from autosurgeon.processes import children, descendants

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
CLEAR_S = 5.0
OOM_SCORE = "500"


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent's thread ends; exit immediately if it has ended already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class _Requests:
    """The lines of a pipe, read without a buffer, whose content `poll` would not see."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = b""

    def next(self) -> dict[str, Any] | None:
        """Return the next request; None if the loop is gone or closed the pipe."""
        while b"\n" not in self._read:
            chunk = os.read(self._descriptor, 1 << 16)
            if not chunk:
                return None
            self._read += chunk
        line, _, self._read = self._read.partition(b"\n")
        request: dict[str, Any] = json.loads(line)
        return request


TAKEN, DONE = b"t", b"d"
"""The messages of a resident capsule about a job: taken up, and done."""
Run = Callable[[Path], int]
"""Runs the job of a file and returns its exit code."""


def serve(load_stack: Callable[[], None], run_job: Run, run_jobs: Callable[[], Run]) -> NoReturn:
    """Load the stack, report that it is loaded, then run one capsule at a time until standard input ends.

    Args:
        load_stack: called once, before the first capsule is forked.
        run_job: runs the job of a capsule that runs one job.
        run_jobs: called once in a resident capsule, returns the function that runs its jobs.

    """
    # This process does not read its input during the import, so until then the kernel ends it with its parent.
    die_with_parent(int(os.environ.get("AUTOSURGEON_PARENT", os.getppid())))
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    load_stack()
    libc.prctl(PR_SET_PDEATHSIG, 0)  # it would leave no time to kill the capsule

    # The protocol has its own descriptor, because libraries may write to standard output.
    answers = os.dup(1)
    os.dup2(2, 1)
    server = _Server(_Requests(0), answers, run_job, run_jobs)
    try:
        with contextlib.suppress(BrokenPipeError):  # the loop is gone
            _send(answers, {"ready": True})
            while (request := server.next_request()) is not None:
                server.handle(request)
    finally:
        server.end_resident()
    os._exit(0)  # the stack's own exit handlers take seconds


def _send(answers: int, answer: dict[str, Any]) -> None:
    os.write(answers, json.dumps(answer).encode() + b"\n")


class _Capsule:
    """A forked process that works, or waits for work on its end of a channel."""

    def __init__(self, request: dict[str, Any], answers: int, work: Callable[[socket.socket], int]) -> None:
        """Fork a process that calls `work` with its end of the channel and exits with the returned code."""
        server = os.getpid()
        self.channel, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.cgroup: str | None = request["cgroup"]
        self.resident_s: float | None = request.get("resident_s")
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(answers)
                self.channel.close()
                _become_capsule(server, request)
                code = work(its_end)
                sys.stdout.flush()
                sys.stderr.flush()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)  # never return into the fork server's own stack
        its_end.close()
        self.ended = os.pidfd_open(self.pid)

    def takes(self, request: dict[str, Any]) -> bool:
        """Send a job and return whether the capsule takes it; a killed capsule may not have ended yet and does not."""
        with contextlib.suppress(OSError):  # it has ended
            self.channel.send(json.dumps(request).encode())
            if self.channel.fileno() in _ready(self.ended, self.channel.fileno()):
                return self.channel.recv(1) == TAKEN
        return False

    def is_done(self) -> bool:
        """Wait, and return whether the capsule reports success before it ends or the loop sends a request."""
        if self.channel.fileno() in _ready(0, self.ended, self.channel.fileno()):
            with contextlib.suppress(OSError):
                if self.channel.recv(1):
                    return not _ready(0, self.ended, timeout_s=0)
            _ready(0, self.ended)  # the capsule is exiting
        return False

    def kill(self) -> tuple[int | None, list[int]]:
        """Kill the capsule and all its child processes; return its exit code and the survivors."""
        os.close(self.ended)
        self.channel.close()
        return _kill_tree(self.pid, self.cgroup)


class _Server:
    """Runs one capsule at a time, for one job or resident for several."""

    def __init__(self, requests: _Requests, answers: int, run_job: Run, run_jobs: Callable[[], Run]) -> None:
        self._requests, self._answers, self._run_job, self._run_jobs = requests, answers, run_job, run_jobs
        self._resident: _Capsule | None = None

    def next_request(self) -> dict[str, Any] | None:
        """Return the next request, None at their end; meanwhile end a resident capsule that dies or waits too long."""
        while self._resident is not None:
            ready = _ready(0, self._resident.ended, timeout_s=self._resident.resident_s)
            if ready == {0}:
                break
            self.end_resident()
        return self._requests.next()

    def end_resident(self) -> list[int]:
        """Kill the resident capsule, if there is one, and return the survivors."""
        if self._resident is None:
            return []
        resident, self._resident = self._resident, None
        return resident.kill()[1]

    def handle(self, request: dict[str, Any]) -> None:
        """Execute a request and answer it."""
        if "job" in request:
            stays = request.get("resident_s") is not None
            _send(self._answers, self._run_resident(request) if stays else self._run_once(request))
        elif "kill" in request:  # it came too late for its job, and has no answer
            self.end_resident()
        else:
            survivors = self.end_resident() if "end" in request else []
            _send(self._answers, {"pid": self._resident.pid if self._resident else None, "survivors": survivors})

    def _run_once(self, request: dict[str, Any]) -> dict[str, Any]:
        """Fork a capsule, wait for its end, a kill request, or the end of the loop, and kill what remains of it."""
        self.end_resident()
        capsule = _Capsule(request, self._answers, lambda channel: self._run_job(Path(request["job"])))
        try:
            _send(self._answers, {"pid": capsule.pid})
            _ready(0, capsule.ended)
        finally:  # also if the loop is gone and the answer fails
            code, survivors = capsule.kill()
        return {"exit": code, "survivors": survivors}

    def _run_resident(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run the job in the resident capsule, or in a new one, which stays resident if the job succeeds."""
        capsule, self._resident = self._resident, None
        if capsule is not None and not capsule.takes(request):
            capsule.kill()
            capsule = None
        if capsule is None:
            capsule = _Capsule(request, self._answers, lambda channel: _serve_jobs(channel, self._run_jobs()))
            capsule.takes(request)
        try:
            _send(self._answers, {"pid": capsule.pid})
            done = capsule.is_done()
            if done and descendants(os.getpid()) == [capsule.pid]:
                self._resident = capsule
                return {"exit": 0, "survivors": [], "resident": True}
        finally:
            if self._resident is None:
                code, survivors = capsule.kill()
        return {"exit": 0 if done else code, "survivors": survivors}


def _ready(*descriptors: int, timeout_s: float | None = None) -> set[int]:
    """Wait, and return the descriptors that can be read or have ended; none after the time-out."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(None if timeout_s is None else 1000 * timeout_s)}


def _serve_jobs(channel: socket.socket, run: Run) -> int:
    """In the capsule: run jobs until one fails, and return its exit code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    while request := channel.recv(1 << 16):
        job = json.loads(request)
        channel.send(TAKEN)
        _write_to_log(job["log"])
        if code := run(Path(job["job"])):
            return code
        sys.stdout.flush()
        sys.stderr.flush()
        os.chdir("/")
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)
        channel.send(DONE)
    return 0


def _become_capsule(server: int, request: dict[str, Any]) -> None:
    os.setsid()
    die_with_parent(server)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _write_to_log(request["log"])
    # When memory runs out, the kernel kills the capsule and not the loop.
    _write("/proc/self/oom_score_adj", OOM_SCORE)
    if request["cgroup"] is not None:
        _write(f"{request['cgroup']}/cgroup.procs", "0")


def _write_to_log(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)


def _write(path: str, text: str) -> None:
    """Write an optional setting to a file of the kernel; a failure is only logged."""
    try:
        Path(path).write_text(text, encoding="ascii")
    except OSError as error:
        sys.stderr.write(f"{path}: {error.strerror}\n")


def _kill_tree(pid: int, cgroup: str | None) -> tuple[int | None, list[int]]:
    """Kill the capsule, its group and all children of this process; return its exit code and the survivors."""
    if cgroup is not None:
        with contextlib.suppress(OSError):
            Path(cgroup, "cgroup.kill").write_text("1", encoding="ascii")
    # The signals precede the reaping, after which the ids of the process and of its group may be reused.
    for kill in (os.kill, os.killpg):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)
    code: int | None = None
    deadline = time.monotonic() + CLEAR_S
    while True:
        with contextlib.suppress(ChildProcessError):
            while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
                if reaped[0] == pid:
                    code = os.waitstatus_to_exitcode(reaped[1])
        # Only children, which no other process can reap; their children become this process's own in the next round.
        survivors = children(os.getpid())
        for child in survivors:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        if not survivors or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    if cgroup is not None:
        with contextlib.suppress(OSError):
            os.rmdir(cgroup)
    return code, survivors
