"""The candidates' jail: a bare interpreter that forks one process per candidate.

Started as `python -I -S candidate_server.py CONFINEMENT`. On the socket at descriptor 0 the oracle sends, for each
candidate, its limits and the descriptor of a channel, then `end`; the reply is how the process ended. The child reads
the candidate's source and its calls from the channel; this process never holds them, so no candidate can find them.
"""

import builtins
import os
import select
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import candidates
import confine
import cross
import json

# `random` registers a hook that reseeds each child; without the hook every child draws the same numbers. So `random`
# is imported before any module that imports it.
_hook, os.register_at_fork = os.register_at_fork, lambda **hooks: None
import random

os.register_at_fork = _hook
random.seed(0)
# Programs use these, and `site`, which defines them, is not loaded.
builtins.exit = builtins.quit = sys.exit


# Common imports of candidates are loaded once here, so that no child spends time on them.
import array, ast, bisect, cmath, collections, copy, datetime, decimal, fractions, functools, gc, heapq  # noqa: E401
import itertools, math, operator, re, statistics, string, traceback, types, typing  # noqa: E401


MOST_DESCRIPTORS = 1 << 16
CHANNEL = 3
"""A candidate's channel; the files of a program that reads standard input follow it."""
CONTROL = 15
FIRST_FREE = 16
"""From this number on, no descriptor is open in a fresh child."""
TICK_S = 0.1
"""Seconds after which a candidate's clocks are watched."""


class Confinement:
    """The rights that a child gives up, prepared once; the server itself gives up those that it does not need."""

    def __init__(self, wish):
        self.nobody = wish["nobody"]
        if wish["mirror"]:
            confine.use_library(*wish["mirror"])
        if wish["packages"]:
            sys.path.append(wish["packages"])
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
        # The kernel clears this setting when the user changes, so it comes after.
        confine.die_with_parent()
        if self.filter is not None:
            self.filter.apply()


REHEARSALS = 10
"""Calls that CPython needs before it specializes a function."""
PIECE = """
from typing import Any, Dict, List, Optional, Tuple
import math

class Node:
    def __init__(self, value: int = 0) -> None:
        self.value = value

def solve(text: str, numbers: List[int]) -> Tuple[str, ...]:
    \'\'\'A piece to rehearse with.

    >>> solve("a", [1])
    \'\'\'
    seen: Dict[str, int] = {}
    for index, item in enumerate(numbers):
        if item % 2 == 0 and not seen.get(text):
            seen[text] = abs(item) + index
        elif text.startswith("a") or item < 0:
            continue
        else:
            try:
                seen[str(item)] += 1
            except KeyError as error:
                seen[f"{error}"] = len([number ** 2 for number in numbers if number > 1.5])
    while len(text) > 10:
        break
    return tuple(sorted((str(value) for value in seen.values()), key=lambda word: (len(word), word)))
"""
POOL_BYTES, POOL_HEAD_BYTES, SMALL_BYTES, MOST_HOLES = 16384, 48, 512, 1000
"""CPython's allocator of small objects; where it is another one, filling its holes does no more than waste some MB."""


class Wire:
    """The channel in the child; a socket object costs further system calls."""

    recv = staticmethod(functools.partial(os.read, CHANNEL))

    @staticmethod
    def sendall(data):
        sent = os.write(CHANNEL, data)
        while sent < len(data):
            sent += os.write(CHANNEL, memoryview(data)[sent:])


def become_candidate(confinement, limits, files):
    """In the child: close foreign descriptors, give up rights, serve the calls."""
    os.setpgid(0, 0)
    confinement.apply(limits)
    for number, file in enumerate(files, CHANNEL):
        if file != number:
            os.dup2(file, number)
    os.closerange(CHANNEL + len(files), FIRST_FREE)
    candidates.testify(Wire, *range(CHANNEL + 1, CHANNEL + len(files)))


def cpu_clock(pid):
    """Return the id of a process's CPU clock, see clock_getcpuclockid(3)."""
    return (~pid << 3) | 2


def attend(pid, limits, deadline, control):
    """Wait for the oracle's `end`, then kill; return the limit that ended it before, or b"", and the message."""
    reason, received = b"", None
    try:
        if min(limits["cpu_s"], limits["wall_s"]) > 2 * TICK_S:
            received = receive_within_a_tick(control)
        if received is None:
            reason = watch(pid, limits, deadline, control)
    finally:
        for kill, target in ((os.killpg, pid), (os.kill, pid)):
            try:
                kill(target, signal.SIGKILL)
            except ProcessLookupError:
                pass
    while received is None:
        received = receive_within_a_tick(control)
    return reason, received


def receive_within_a_tick(control):
    """Return the oracle's message within a tick, or None."""
    try:
        return control.recv(16)
    except BlockingIOError:
        return None


def watch(pid, limits, deadline, control):
    """Wait for `end`, the candidate's own end or a limit; return the limit's name, or b""."""
    handle, clock = os.pidfd_open(pid), cpu_clock(pid)
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    waiting.register(control, select.POLLIN)
    try:
        while True:
            left = min(limits["cpu_s"] - time.clock_gettime(clock), deadline - time.monotonic())
            if left <= 0:
                return b"cpu" if deadline > time.monotonic() else b"wall"
            if waiting.poll(left * 1000 + 1):
                return b""
    finally:
        os.close(handle)


def quieten():
    """Open the standard streams again, since all processes that inherit an open file share its flags."""
    os.closerange(0, CHANNEL)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)


def rehearse():
    """Run a sample candidate, so that every child inherits specialized code and filled caches."""
    call = {"given": {"tuple": ["text", [1, 2, 3, -4]]}, "named": {}}
    opening = {"kind": "function", "source": PIECE, "in_place": False, "entry_point": "solve", "call": call}
    opening["answer_bytes"] = 1 << 20
    for _ in range(REHEARSALS):
        near, far = socket.socketpair()
        with near, far:
            assert near.fileno() == CHANNEL
            cross.send(far, opening)
            far.shutdown(socket.SHUT_WR)
            candidates.testify(Wire)
            assert "value" in cross.receive(far)
    del sys.modules["candidate"]


def holes_filled():
    """Return objects that fill the holes of the heap, so that a child's objects share few pages.

    For every size of small object, it allocates until the allocator opens a new pool.
    """
    kept, head = [], sys.getsizeof(b"")
    for size in range(16, SMALL_BYTES + 1, 16):
        for number in range(MOST_HOLES):
            kept.append(object() if size == 16 else complex(number) if size == 32 else bytes(size - head))
            if id(kept[-1]) % POOL_BYTES == POOL_HEAD_BYTES:
                break
    return kept


def main():
    # Descriptors inherited from the grader or from bwrap are shared with other processes.
    os.closerange(3, MOST_DESCRIPTORS)
    wish = json.loads(sys.argv.pop())
    confine.die_with_parent()
    confine.keep_strangers_out()
    rehearse()
    os.dup2(0, CONTROL)
    control = socket.socket(fileno=CONTROL)
    control.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(TICK_S * 1e6)))
    confinement = Confinement(wish)
    room, last, limits = socket.CMSG_SPACE(4), b"", {}
    gc.collect()
    _kept = holes_filled()
    gc.freeze()
    while True:
        quieten()
        message = None
        while message is None:
            try:
                message, passed, _, _ = control.recvmsg(4096, room)
            except BlockingIOError:
                pass
        if not message:
            return
        if message != last:
            last, limits = message, json.loads(message)
        files = [int.from_bytes(passed[0][2], sys.byteorder)]
        if limits["kind"] == "stdin":
            files += os.memfd_create("stdin"), os.memfd_create("stdout")
        deadline = time.monotonic() + limits["wall_s"]
        pid = os.fork()
        if pid == 0:
            try:
                become_candidate(confinement, limits, files)
            finally:
                os._exit(0)
        for file in files:
            os.close(file)
        reason, received = attend(pid, limits, deadline, control)
        _, status, used = os.wait4(pid, 0)
        if not received:
            return
        ending = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, reason
        control.send(cross.ENDING.pack(*ending))


main()
