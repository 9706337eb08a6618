"""The candidates' jail: a bare interpreter that forks once per candidate and does nothing else.

Started as `python -I -S candidate_server.py CONFINEMENT`. On the socket at descriptor 0 the oracle sends, for each
candidate, its limits and the descriptor of a channel; then `end`; the answer is how the process ended. The candidate's
source, and each call, come over the channel, in the child: this process never sees them, so there is nothing here to
find.
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
CHANNEL = 3
"""A candidate's channel, and behind it the files of one that reads standard input."""
CONTROL = 15
FIRST_FREE = 16
"""No descriptor above is open in a fresh child."""
TICK_S = 0.1
"""A candidate that ends sooner is not watched."""


class Confinement:
    """What a child gives up, made ready once; what the server can do without, it gives up itself, for all of them."""

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
        # After the change of user, which the kernel takes as a reason to forget it.
        confine.die_with_parent()
        if self.filter is not None:
            self.filter.apply()


REHEARSALS = 10
"""Python watches a function for some calls before it settles on a form for it."""
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
    """The channel in the child; a socket object would ask the kernel what it is first."""

    recv = staticmethod(functools.partial(os.read, CHANNEL))

    @staticmethod
    def sendall(said):
        sent = os.write(CHANNEL, said)
        while sent < len(said):
            sent += os.write(CHANNEL, memoryview(said)[sent:])


def become_candidate(confinement, limits, files):
    """In the child: close what is not its own, give up rights, testify."""
    os.setpgid(0, 0)
    confinement.apply(limits)
    for number, file in enumerate(files, CHANNEL):
        if file != number:
            os.dup2(file, number)
    os.closerange(CHANNEL + len(files), FIRST_FREE)
    candidates.testify(Wire, *range(CHANNEL + 1, CHANNEL + len(files)))


def cpu_clock(pid):
    """The clock of a process's CPU time; the number is the kernel's, see clock_getcpuclockid(3)."""
    return (~pid << 3) | 2


def attend(pid, limits, deadline, control):
    """Wait for the oracle's `end`, and kill. The reason for killing before that, or b""; what the oracle said."""
    reason, said = b"", None
    try:
        if min(limits["cpu_s"], limits["wall_s"]) > 2 * TICK_S:
            said = heard(control)
        if said is None:
            reason = watch(pid, limits, deadline, control)
    finally:
        for kill, target in ((os.killpg, pid), (os.kill, pid)):
            try:
                kill(target, signal.SIGKILL)
            except ProcessLookupError:
                pass
    while said is None:
        said = heard(control)
    return reason, said


def heard(control):
    """What the oracle says within a tick, or None."""
    try:
        return control.recv(16)
    except BlockingIOError:
        return None


def watch(pid, limits, deadline, control):
    """Wait for `end`, for the candidate's own end or for either limit; the limit's name, or b""."""
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
    """Open the standard streams anew: the flags of an open file are shared by all that inherit it."""
    os.closerange(0, CHANNEL)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)


def rehearse():
    """Do what every child does, on a piece of our own: what that leaves specialised and cached, they all inherit."""
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
    """What fills the holes of the heap, so that a child's objects lie side by side, not on a page of the server's each.

    For every size of small object: as many as it takes until the allocator opens a new pool for that size.
    """
    kept, head = [], sys.getsizeof(b"")
    for size in range(16, SMALL_BYTES + 1, 16):
        for number in range(MOST_HOLES):
            kept.append(object() if size == 16 else complex(number) if size == 32 else bytes(size - head))
            if id(kept[-1]) % POOL_BYTES == POOL_HEAD_BYTES:
                break
    return kept


def main():
    # What came along from the grader or by way of bwrap: an open file is shared with whoever holds it.
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
        reason, said = attend(pid, limits, deadline, control)
        _, status, used = os.wait4(pid, 0)
        if not said:
            return
        ending = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, reason
        control.send(cross.ENDING.pack(*ending))


main()
