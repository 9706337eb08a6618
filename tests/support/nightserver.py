"""Forks a night per request from a process that has imported everything, since the imports take longest.

It adopts the processes that its nights leave behind, so that a process that outlives its loop is seen.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from night import main

from autosurgeon.failpoints import VARIABLE

PR_SET_CHILD_SUBREAPER = 36
PR_SET_PTRACER = 0x59616D61
PATIENCE_S = 120.0
ORPHANS_S = 5.0


def serve() -> None:
    """Answer each line of standard input, a night to run, with a line of how it ended."""
    _warm_up()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    answers = os.fdopen(os.dup(1), "w")
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), file=answers, flush=True)


def _warm_up() -> None:
    """A night of our own: what the program imports and builds only when a command needs it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        assert _night([folder, "--passes", "1"]) == 0
    gc.freeze()


def _run(asked: dict[str, Any]) -> dict[str, Any]:
    """One night, to its end or to its death; its wait status and what it left running."""
    hung, began = Path(asked["output"]).with_suffix(".hung"), time.monotonic()
    hung.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        _forked(asked, hung)
    tracer = _attach(pid, asked)
    after = asked.get("kill_after")
    status = None
    while status is None:
        now = time.monotonic() - began
        if (after is not None and now >= after) or hung.exists() or now > PATIENCE_S:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        found, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if found else None
        if status is None:
            time.sleep(0.002)
    seconds = time.monotonic() - began
    if tracer is not None:
        tracer.wait()
    return {"status": status, "seconds": seconds, "hung": hung.exists(), "left": _orphans()}


def _attach(pid: int, asked: dict[str, Any]) -> subprocess.Popen[bytes] | None:
    """strace on the night's main thread, where the request wants a system call to fail."""
    if not asked.get("inject"):
        return None
    call = asked["inject"].partition(":")[0]
    inject = ["-e", f"trace={call}", "-e", f"inject={asked['inject']}"]
    return subprocess.Popen(["strace", "-q", "-o", asked["output"] + ".strace", *inject, "-p", str(pid)])


def _await_tracer() -> None:
    """Wait until strace has come; any process may trace this one."""
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
    while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
        time.sleep(0.01)


def _forked(asked: dict[str, Any], hung: Path) -> None:
    """The forked process; never returns."""
    os.setsid()
    descriptor = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for target in (1, 2):
        os.dup2(descriptor, target)
    os.environ.pop(VARIABLE, None)
    if asked.get("fail"):
        os.environ[VARIABLE] = asked["fail"]
    if asked.get("inject"):
        _await_tracer()
    code = _night([*asked["arguments"], "--hung", str(hung)])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _night(arguments: list[str]) -> int:
    """The exit code, as the interpreter would make it."""
    try:
        main(arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _orphans() -> list[str]:
    """The command lines of those who outlived their night; they were given a moment to notice."""
    deadline = time.monotonic() + ORPHANS_S
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return []
        if time.monotonic() > deadline:
            break
        time.sleep(0.002)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    left = [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in children]
    for pid in children:
        os.kill(int(pid), signal.SIGKILL)
    return left
