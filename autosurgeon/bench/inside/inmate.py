"""The candidates' jail: a bare interpreter that forks once per candidate and does nothing else.

Started as `python -I -S inmate.py CONFINEMENT`. On the socket at descriptor 0 the oracle sends, for each candidate, its
limits and the descriptor of a channel; then `end`; the answer is how the process ended. The candidate's source, and
each call, come over the channel, in the child: this process never sees them, so there is nothing here to find.
"""

import os
import select
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import confine
import cross
import json

# `random` seeds itself anew in each child; without that hook every child draws the same numbers. It comes before all
# that imports it.
_hook, os.register_at_fork = os.register_at_fork, lambda **hooks: None
import random

os.register_at_fork = _hook
random.seed(0)

# What candidates commonly import, so that a fork costs less than an import.
import array, ast, bisect, cmath, collections, copy, datetime, decimal, fractions, functools, gc, heapq  # noqa: E401
import itertools, math, operator, re, statistics, string, traceback, types, typing  # noqa: E401


class Confinement:
    """What a child gives up, made ready once, in the server."""

    def __init__(self, wish):
        self.threads = wish["threads"]
        self.nobody = wish["nobody"]
        self.filter = confine.Filter() if wish["filter"] else None
        self.paths = confine.Paths(wish["paths"]) if wish["paths"] else None

    def apply(self, limits):
        if self.nobody:
            confine.become_nobody(keep_reading=self.paths is not None)
        confine.limit(limits["memory_bytes"], limits["cpu_s"], self.threads)
        if self.paths is not None:
            self.paths.apply()
        # After the change of user, which the kernel takes as a reason to forget it.
        confine.die_with_parent()
        if self.filter is not None:
            self.filter.apply()


def name_of(error):
    return type.__dict__["__name__"].__get__(type(error))


def told(error):
    """An exception as data; its text is the candidate's to compute, so that may fail too."""
    try:
        text = str(error)[:300]
    except BaseException:
        text = ""
    return {"raised": name_of(error), "detail": text if type(text) is str else ""}


def find(scope, entry_point):
    """The function, or the method of a fresh object of its class."""
    holder, _, method = entry_point.rpartition(".")
    return getattr(scope[holder](), method) if holder else scope[method]


class Function:
    """A candidate that defines a function."""

    def __init__(self, opening):
        self.scope = {"__name__": "candidate"}
        exec(compile(opening["source"], "candidate", "exec", dont_inherit=True), self.scope)
        self.look_back = opening["in_place"]
        self.entry_point = opening["entry_point"]

    def answer(self, call):
        given = cross.decode(call["given"])
        named = {key: cross.decode(value) for key, value in call["named"].items()}
        try:
            function = find(self.scope, self.entry_point)
        except (KeyError, AttributeError):
            return {"refused": "missing", "detail": "no " + self.entry_point}
        answer = {"value": cross.encode(function(*given, **named))}
        if self.look_back:
            answer["given"] = cross.encode(given)
        return answer


class Program:
    """A candidate that reads standard input and writes standard output, run anew for each input."""

    def __init__(self, opening):
        self.code = compile(opening["source"], "candidate", "exec", dont_inherit=True)
        self.stdin, self.stdout = opening["stdin"], opening["stdout"]

    def answer(self, call):
        os.ftruncate(self.stdin, 0)
        os.ftruncate(self.stdout, 0)
        os.pwrite(self.stdin, call["text"].encode("utf-8", "surrogatepass"), 0)
        for descriptor, target in ((self.stdin, 0), (self.stdout, 1)):
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.dup2(descriptor, target)
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout = said = open(1, "w", encoding="utf-8", errors="replace", closefd=False)
        try:
            exec(self.code, {"__name__": "__main__"})
        except SystemExit as ending:
            if ending.code not in (None, 0):
                raise
        sys.stdout.flush()
        said.flush()
        # By the descriptor and not by the stream, which the program may have replaced.
        size = os.fstat(self.stdout).st_size
        if size > cross.MAX_ANSWER_BYTES // 2:
            return {"refused": "output", "detail": str(size) + " bytes"}
        return {"value": os.pread(self.stdout, size, 0).decode("utf-8", "replace")}


class Shared:
    """The weaker tier: tests and candidate in one interpreter; the nonce is told after all checks were counted."""

    def __init__(self, opening):
        self.opening = opening

    def answer(self, call):
        opening, checks = self.opening, [0]

        def counted():
            checks[0] += 1

        scope = {"__name__": "candidate"}
        exec(compile(opening["source"], "candidate", "exec", dont_inherit=True), scope)
        tests = {"__name__": "tests", call["counter"]: counted}
        exec(compile(opening["support"], "support", "exec", dont_inherit=True), tests)
        tests["candidate"] = find(scope, opening["entry_point"])
        if opening["bind"]:
            tests[opening["entry_point"]] = tests["candidate"]
        exec(compile(opening["tests"], "tests", "exec", dont_inherit=True), tests)
        return {"value": {"tuple": [call["nonce"], checks[0]]}}


def testify(channel, stdin, stdout):
    """Load the candidate, then answer each call until the channel ends."""
    try:
        opening = cross.receive(channel)
        kind = {"function": Function, "stdin": Program, "shared": Shared}[opening["kind"]]
        opening.update(stdin=stdin, stdout=stdout)
    except cross.BrokenError:
        return
    candidate, flaw = None, None
    try:
        candidate = kind(opening)
    except SyntaxError as error:
        flaw = {"refused": "syntax", "detail": told(error)["detail"]}
    except BaseException as error:
        flaw = {**told(error), "loading": True}
    while True:
        try:
            call = cross.receive(channel)
        except cross.BrokenError:
            return
        answer = flaw
        if answer is None:
            try:
                answer = candidate.answer(call)
            except cross.NotPlainError as error:
                answer = {"refused": "type", "detail": str(error)[:300]}
            except BaseException as error:
                answer = told(error)
        reply(channel, answer)


def reply(channel, answer):
    body = json.dumps(answer, separators=(",", ":")).encode()
    if len(body) > cross.MAX_ANSWER_BYTES:
        answer = {"refused": "output", "detail": str(len(body)) + " bytes"}
    cross.send(channel, answer)


def become_candidate(confinement, limits, descriptor, control, quiet):
    """In the child: close what is not its own, give up rights, testify."""
    os.setsid()
    stdin = os.memfd_create("stdin") if limits["kind"] == "stdin" else None
    stdout = os.memfd_create("stdout") if limits["kind"] == "stdin" else None
    control.close()
    for target in (0, 1, 2):
        os.dup2(quiet, target)
    confinement.apply(limits)
    testify(socket.socket(fileno=descriptor), stdin, stdout)


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
                become_candidate(confinement, limits, descriptors[0], control, quiet)
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
