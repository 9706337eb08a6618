"""The candidates' jail: a bare interpreter that forks once per candidate and does nothing else.

Started as `python -I -S inmate.py CONFINEMENT`. On the socket at descriptor 0 the oracle sends, for each candidate, its
limits and the descriptor of a channel; then `end`; the answer is how the process ended. The candidate's source, and
each call, come over the channel, in the child: this process never sees them, so there is nothing here to find.
"""

import builtins
import os
import select
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import candidates
import confine
import contextlib
import json

# `random` seeds itself anew in each child; without that hook every child draws the same numbers. It comes before all
# that imports it.
_hook, os.register_at_fork = os.register_at_fork, lambda **hooks: None
import random

os.register_at_fork = _hook
random.seed(0)
# What `site` would define, and programs use.
builtins.exit = builtins.quit = sys.exit


# What candidates commonly import, so that a fork costs less than an import.
import array, ast, bisect, cmath, collections, copy, datetime, decimal, fractions, functools, gc, heapq  # noqa: E401
import itertools, math, operator, re, statistics, string, traceback, types, typing  # noqa: E401


MOST_DESCRIPTORS = 1 << 16
FIRST_FREE = 16
"""No descriptor above is open in a fresh child."""


class Confinement:
    """What a child gives up, made ready once; what the server can do without, it gives up itself, for all of them."""

    def __init__(self, wish):
        self.nobody = wish["nobody"]
        if wish["mirror"]:
            confine.use_library(*wish["mirror"])
        self.paths = confine.Paths(wish["paths"]) if wish["paths"] else None
        self.filter = confine.Filter(confine.OF_A_SERVER) if wish["filter"] else None
        confine.limit_all(wish["threads"])
        if self.nobody:
            confine.leave_groups()
        if self.filter is not None:
            confine.Filter(confine.CALLS - confine.OF_A_SERVER).apply()

    def apply(self, limits):
        if self.nobody:
            confine.become_nobody(keep_reading=self.paths is not None)
        confine.limit(limits["memory_bytes"], limits["cpu_s"])
        if self.paths is not None:
            self.paths.apply()
        # After the change of user, which the kernel takes as a reason to forget it.
        confine.die_with_parent()
        if self.filter is not None:
            self.filter.apply()


def become_candidate(confinement, limits, descriptor, control):
    """In the child: close what is not its own, give up rights, testify."""
    os.setsid()
    # Opened anew: the flags of an open file are shared by all that inherit it.
    quiet = os.open(os.devnull, os.O_RDWR)
    stdin = os.memfd_create("stdin") if limits["kind"] == "stdin" else None
    stdout = os.memfd_create("stdout") if limits["kind"] == "stdin" else None
    control.close()
    for target in (0, 1, 2):
        os.dup2(quiet, target)
    confinement.apply(limits)
    keep = {0, 1, 2, descriptor, stdin, stdout}
    for number in range(3, FIRST_FREE):
        if number not in keep:
            with contextlib.suppress(OSError):
                os.close(number)
    candidates.testify(socket.socket(fileno=descriptor), stdin, stdout)


def cpu_clock(pid):
    """The clock of a process's CPU time; the number is the kernel's, see clock_getcpuclockid(3)."""
    return (~pid << 3) | 2


def watch(pid, limits, control):
    """Wait for the candidate's end or the oracle's `end`; kill at either limit. The reason, or None; whether told."""
    handle, clock = os.pidfd_open(pid), cpu_clock(pid)
    deadline = time.monotonic() + limits["wall_s"]
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    waiting.register(control, select.POLLIN)
    reason = None
    try:
        while True:
            left = min(limits["cpu_s"] - time.clock_gettime(clock), deadline - time.monotonic())
            if left <= 0:
                reason = "cpu" if deadline > time.monotonic() else "wall"
                return reason
            ready = waiting.poll(left * 1000 + 1)
            if ready:
                return None
    finally:
        os.close(handle)
        for kill, target in ((os.killpg, pid), (os.kill, pid)):
            try:
                kill(target, signal.SIGKILL)
            except ProcessLookupError:
                pass


def main():
    # What came along from the grader or by way of bwrap: an open file is shared with whoever holds it.
    os.closerange(3, MOST_DESCRIPTORS)
    wish = json.loads(sys.argv.pop())
    confine.die_with_parent()
    confine.keep_strangers_out()
    confinement = Confinement(wish)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    control = socket.socket(fileno=0)
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 4096, 1)
        if not message:
            return
        limits = json.loads(message)
        pid = os.fork()
        if pid == 0:
            try:
                become_candidate(confinement, limits, descriptors[0], control)
            finally:
                os._exit(0)
        os.close(descriptors[0])
        reason = watch(pid, limits, control)
        _, status, used = os.wait4(pid, 0)
        if not control.recv(16):
            return
        ending = {"exit": os.waitstatus_to_exitcode(status), "reason": reason, "cpu_s": used.ru_utime + used.ru_stime}
        control.send(json.dumps(ending).encode())


main()
