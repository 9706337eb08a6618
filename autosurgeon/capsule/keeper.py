"""The capsules' keeper: forks a capsule for each job, and leaves nothing of it behind, whoever dies first.

It stands between the loop and the capsule. Its standard input is the death pipe: only the loop holds the other end, so
when the loop is gone, by SIGKILL or not, the keeper reads the end of the file, kills what it keeps, and leaves. It does
no other work, so a capsule that hangs with the interpreter's lock held cannot keep it from that. And it is the
subreaper of what a capsule starts: whoever leaves the capsule's group by `setsid` becomes its child once orphaned.

It reads one JSON object a line. `{"job": path, "log": path, "cgroup": path or null}` is answered with `{"pid": n}` when
the capsule runs and `{"exit": code, "left": [pids]}` when it is gone with all that it started. The code is minus the
signal's number where one killed it, and null where it could not be reaped; `left` are those whom a SIGKILL did not end,
since they are stuck in the kernel. `{"kill": true}` ends a running capsule, and is nothing to an idle keeper.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from autosurgeon.processes import children

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


def serve(load_stack: Callable[[], None], run_job: Callable[[Path], int]) -> NoReturn:
    """Load the stack, say so, then keep one capsule per request until standard input ends."""
    # Nothing listens while the stack is imported, so until then the kernel is asked to end this process.
    die_with_parent(int(os.environ.get("AUTOSURGEON_PARENT", os.getppid())))
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    load_stack()
    libc.prctl(PR_SET_PDEATHSIG, 0)  # it would leave no time to clear away

    # The protocol keeps a descriptor of its own: libraries write to standard output as they please.
    answers = os.dup(1)
    os.dup2(2, 1)
    requests = _Requests(0)
    with contextlib.suppress(BrokenPipeError):  # the loop is gone, and with it whoever wanted an answer
        _say(answers, {"ready": True})
        while (request := requests.next()) is not None:
            if "job" in request:
                _say(answers, _keep(request, answers, run_job))
    os._exit(0)  # the stack's own way out takes seconds, and there is nothing left to keep


def _say(answers: int, answer: dict[str, Any]) -> None:
    os.write(answers, json.dumps(answer).encode() + b"\n")


def _keep(request: dict[str, Any], answers: int, run_job: Callable[[Path], int]) -> dict[str, Any]:
    """Fork a capsule and wait for its end, a word to kill it, or the end of the loop; then clear away."""
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(answers)
            _become_capsule(keeper, request)
            code = run_job(Path(request["job"]))
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)  # never back into the keeper's own stack
    ended = os.pidfd_open(pid)
    try:
        _say(answers, {"pid": pid})
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(0, select.POLLIN)
        poll.poll()
    finally:  # also where the loop has gone before it could be answered
        os.close(ended)
        code_or_none, left = _clear_away(pid, request["cgroup"])
    return {"exit": code_or_none, "left": left}


def _become_capsule(keeper: int, request: dict[str, Any]) -> None:
    os.setsid()
    die_with_parent(keeper)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    quiet = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((quiet, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    # When memory runs out, the kernel shall take the capsule, not the loop.
    _write("/proc/self/oom_score_adj", OOM_SCORE)
    if request["cgroup"] is not None:
        _write(f"{request['cgroup']}/cgroup.procs", "0")


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
