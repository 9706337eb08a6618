"""Run a user's command so that it ends with the loop: `python -m autosurgeon.loop.engine.command_guard COMMAND...`.

Standard input is a pipe whose other end only the loop holds. When the loop closes it or ends, also by SIGKILL, the
command and all processes that it started are killed. Processes that outlive a command that ends by itself stay, since
they may be the runtime. The exit code is the command's, or 128 plus the number of the signal that ended it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

from autosurgeon.processes import descendants

PR_SET_CHILD_SUBREAPER = 36
CLEAR_S = 5.0
NOT_STARTED = 127
"""The exit code of a command that cannot be started, as in shells."""
KILLED = 128 + signal.SIGKILL


def main(command: list[str]) -> int:
    """Run the command to its end, or to the end of standard input."""
    # An orphaned process that leaves the command's session becomes a child of this process and is found.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return NOT_STARTED
    ended = os.pidfd_open(process.pid)
    poll = select.poll()
    for descriptor in (ended, 0):
        poll.register(descriptor, select.POLLIN)
    if ended not in dict(poll.poll()):
        _kill_all()
        return KILLED
    code = process.wait()
    return code if code >= 0 else 128 - code


def _kill_all() -> None:
    """Kill and reap all descendants; processes that hang in the kernel are not waited for long."""
    deadline = time.monotonic() + CLEAR_S
    while (left := descendants(os.getpid())) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
