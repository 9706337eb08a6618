"""The capsules' keeper: forks a capsule for each job, and leaves nothing of it behind, whoever dies first.

It stands between the loop and the capsule. Its standard input is the death pipe: only the loop holds the other end, so
when the loop is gone, by SIGKILL or not, the keeper reads the end of the file, kills what it keeps, and leaves. It does
no other work, so a capsule that hangs with the interpreter's lock held cannot keep it from that. And it is the
subreaper of what a capsule starts: whoever leaves the capsule's group by `setsid` becomes its child once orphaned.

It reads one JSON object a line. `{"job": path, "log": path, "cgroup": path or null}` is answered with `{"pid": n}` when
the capsule runs and `{"exit": code, "left": [pids]}` when it is gone with all that it started. The code is minus the
signal's number where one killed it, and null where it could not be reaped; `left` are those whom a SIGKILL did not end,
since they are stuck in the kernel. `{"kill": true}` ends a running capsule, and one that stays.

With `"stays": seconds` in it, a job goes to a capsule that waits so long for the next one of its kind; `"stays": true`
in its answer says that it does. Whatever goes wrong in it ends it, as does a job that leaves a process behind. Between
jobs, `{"end": true}` ends it and `{"there": true}` asks for it; `{"pid": n or null, "left": [pids]}` answers both.
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
    """Ask Linux to kill this process when its parent's thread ends; leave at once if it already has."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class _Requests:
    """Lines of a pipe, read without a buffer that would hide them from `poll`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = b""

    def next(self) -> dict[str, Any] | None:
        """The next request; None when the loop is gone or wants no more."""
        while b"\n" not in self._read:
            chunk = os.read(self._descriptor, 1 << 16)
            if not chunk:
                return None
            self._read += chunk
        line, _, self._read = self._read.partition(b"\n")
        request: dict[str, Any] = json.loads(line)
        return request


TAKEN, DONE = b"t", b"d"
"""What a capsule that stays says of a job."""
Run = Callable[[Path], int]
"""Runs the job of a file; its exit code."""


def serve(load_stack: Callable[[], None], run_job: Run, run_jobs: Callable[[], Run]) -> NoReturn:
    """Load the stack, say so, then keep one capsule at a time until standard input ends.

    Args:
        load_stack: what is done once, before the first capsule is forked.
        run_job: of a capsule that runs one job.
        run_jobs: makes, in a capsule that stays, what runs all of its jobs.

    """
    # Nothing listens while the stack is imported, so until then the kernel is asked to end this process.
    die_with_parent(int(os.environ.get("AUTOSURGEON_PARENT", os.getppid())))
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    load_stack()
    libc.prctl(PR_SET_PDEATHSIG, 0)  # it would leave no time to clear away

    # The protocol keeps a descriptor of its own: libraries write to standard output as they please.
    answers = os.dup(1)
    os.dup2(2, 1)
    keeper = _Keeper(_Requests(0), answers, run_job, run_jobs)
    try:
        with contextlib.suppress(BrokenPipeError):  # the loop is gone, and with it whoever wanted an answer
            _say(answers, {"ready": True})
            while (request := keeper.next_request()) is not None:
                keeper.heed(request)
    finally:
        keeper.end_staying()
    os._exit(0)  # the stack's own way out takes seconds, and there is nothing left to keep


def _say(answers: int, answer: dict[str, Any]) -> None:
    os.write(answers, json.dumps(answer).encode() + b"\n")


class _Capsule:
    """A forked process that works, or waits for work on its end of a channel."""

    def __init__(self, request: dict[str, Any], answers: int, work: Callable[[socket.socket], int]) -> None:
        """Fork it; it does `work` with its end of the channel, and ends with the code that comes of it."""
        keeper = os.getpid()
        self.channel, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.cgroup: str | None = request["cgroup"]
        self.stays_s: float | None = request.get("stays")
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(answers)
                self.channel.close()
                _become_capsule(keeper, request)
                code = work(its_end)
                sys.stdout.flush()
                sys.stderr.flush()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)  # never back into the keeper's own stack
        its_end.close()
        self.ended = os.pidfd_open(self.pid)

    def takes(self, request: dict[str, Any]) -> bool:
        """Hand a job over; whether it was taken up. One that was killed while it waited may not have ended yet."""
        with contextlib.suppress(OSError):  # it has ended since
            self.channel.send(json.dumps(request).encode())
            if self.channel.fileno() in _ready(self.ended, self.channel.fileno()):
                return self.channel.recv(1) == TAKEN
        return False

    def is_done(self) -> bool:
        """Wait: whether it says that its job went well, before it ends or the loop wants something."""
        if self.channel.fileno() in _ready(0, self.ended, self.channel.fileno()):
            with contextlib.suppress(OSError):
                if self.channel.recv(1):
                    return not _ready(0, self.ended, timeout_s=0)
            _ready(0, self.ended)  # it is on its way out
        return False

    def clear_away(self) -> tuple[int | None, list[int]]:
        """Kill it and all that it started; its exit code, and who is left."""
        os.close(self.ended)
        self.channel.close()
        return _clear_away(self.pid, self.cgroup)


class _Keeper:
    """One capsule at a time: it runs one job, or it stays for the next one."""

    def __init__(self, requests: _Requests, answers: int, run_job: Run, run_jobs: Callable[[], Run]) -> None:
        self._requests, self._answers, self._run_job, self._run_jobs = requests, answers, run_job, run_jobs
        self._staying: _Capsule | None = None

    def next_request(self) -> dict[str, Any] | None:
        """The next request, None at their end; who waits too long for one, or dies, is cleared away meanwhile."""
        while self._staying is not None:
            ready = _ready(0, self._staying.ended, timeout_s=self._staying.stays_s)
            if ready == {0}:
                break
            self.end_staying()
        return self._requests.next()

    def end_staying(self) -> list[int]:
        """Clear away who stays; whom no signal could end."""
        if self._staying is None:
            return []
        staying, self._staying = self._staying, None
        return staying.clear_away()[1]

    def heed(self, request: dict[str, Any]) -> None:
        """Do what is asked, and answer."""
        if "job" in request:
            stays = request.get("stays") is not None
            _say(self._answers, self._hand_over(request) if stays else self._keep(request))
        elif "kill" in request:  # which came too late for its job, and wants no answer
            self.end_staying()
        else:
            left = self.end_staying() if "end" in request else []
            _say(self._answers, {"pid": self._staying.pid if self._staying else None, "left": left})

    def _keep(self, request: dict[str, Any]) -> dict[str, Any]:
        """Fork a capsule and wait for its end, a word to kill it, or the end of the loop; then clear away."""
        self.end_staying()
        capsule = _Capsule(request, self._answers, lambda channel: self._run_job(Path(request["job"])))
        try:
            _say(self._answers, {"pid": capsule.pid})
            _ready(0, capsule.ended)
        finally:  # also where the loop has gone before it could be answered
            code, left = capsule.clear_away()
        return {"exit": code, "left": left}

    def _hand_over(self, request: dict[str, Any]) -> dict[str, Any]:
        """The same with one that stays, if its job goes well."""
        capsule, self._staying = self._staying, None
        if capsule is not None and not capsule.takes(request):
            capsule.clear_away()
            capsule = None
        if capsule is None:
            capsule = _Capsule(request, self._answers, lambda channel: _serve_jobs(channel, self._run_jobs()))
            capsule.takes(request)
        try:
            _say(self._answers, {"pid": capsule.pid})
            done = capsule.is_done()
            if done and descendants(os.getpid()) == [capsule.pid]:
                self._staying = capsule
                return {"exit": 0, "left": [], "stays": True}
        finally:
            if self._staying is None:
                code, left = capsule.clear_away()
        return {"exit": 0 if done else code, "left": left}


def _ready(*descriptors: int, timeout_s: float | None = None) -> set[int]:
    """Those of the descriptors that can be read or have ended, once there is one; none after the time-out."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(None if timeout_s is None else 1000 * timeout_s)}


def _serve_jobs(channel: socket.socket, run: Run) -> int:
    """In the capsule: run what comes, until one fails; its exit code."""
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


def _become_capsule(keeper: int, request: dict[str, Any]) -> None:
    os.setsid()
    die_with_parent(keeper)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _write_to_log(request["log"])
    # When memory runs out, the kernel shall take the capsule, not the loop.
    _write("/proc/self/oom_score_adj", OOM_SCORE)
    if request["cgroup"] is not None:
        _write(f"{request['cgroup']}/cgroup.procs", "0")


def _write_to_log(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)


def _write(path: str, word: str) -> None:
    """Tell the kernel something that the capsule can do without; its log says when it has to."""
    try:
        Path(path).write_text(word, encoding="ascii")
    except OSError as error:
        sys.stderr.write(f"{path}: {error.strerror}\n")


def _clear_away(pid: int, cgroup: str | None) -> tuple[int | None, list[int]]:
    """Kill the capsule, its group and whatever else has become this process's child; its exit code, and who is left."""
    if cgroup is not None:
        with contextlib.suppress(OSError):
            Path(cgroup, "cgroup.kill").write_text("1", encoding="ascii")
    # Before it is reaped, so that its number, and its group's, cannot be somebody else's already.
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
        # Only children, which nobody else can reap; theirs become this process's own, and are killed in the next round.
        left = children(os.getpid())
        for child in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    if cgroup is not None:
        with contextlib.suppress(OSError):
            os.rmdir(cgroup)
    return code, left
