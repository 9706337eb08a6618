"""The tests' jail: it runs the tests of one task after another, with a proxy in place of the candidate.

Started as `python -I -S oracle.py CONFINEMENT LINK`. The grader is on the socket at descriptor 0; LINK is the socket to
the candidate server. Each exam requests a new candidate on a channel of its own, and its answers are plain data. Tests
come from a bench's file, so this process is confined too; no candidate runs in it, so it serves many exams.
"""

import os
import resource
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import gc
import json

import confine
import cross
import exam
import proxy

# Common imports of tests are loaded before paths are closed.
import ast, collections, copy, itertools, math, re, typing  # noqa: E401

MEMORY_BYTES = 4 << 30
"""Address space of the oracle; the largest answer decodes to some hundred megabytes."""
KNOWN = 256
"""Tasks that are cached; the grader counts the tasks that it sends with the same bound."""


def opening_of(sheet, way, source, answer_bytes):
    """Return the first frame to the candidate."""
    opening = {"kind": sheet.kind, "source": source, "entry_point": sheet.spec["entry_point"]}
    opening["answer_bytes"] = answer_bytes
    if way == "shared":
        spec = sheet.spec
        tests = exam.counted(spec, "_held")
        return {**opening, "kind": "shared", "support": spec["support"], "tests": tests, "bind": sheet.bind}
    return {**opening, "in_place": way == "in_place"}


def judged(sheet, way, candidate, nonce):
    """Return cause, detail, cases that held and checks counted; the cause is None when all held."""
    held = checks = 0
    try:
        if way == "shared":
            answer, _ = candidate.ask({"nonce": nonce, "counter": "_held"})
            if type(answer) is not tuple or len(answer) != 2 or answer[0] != nonce or type(answer[1]) is not int:
                return "wrong", "the nonce did not come back", 0, 0
            held, checks = 1, answer[1]
        else:
            for _ in sheet.take(candidate):
                held += 1
    except proxy.Lost:
        pass
    except proxy.Unplain as error:
        return "type", str(error), held, 0
    except proxy.CandidateAssertion as error:
        # In one interpreter, an assertion of the candidate looks like one of the tests.
        return "wrong" if way == "shared" else "error", "AssertionError: " + str(error), held, 0
    except AssertionError as error:
        return "wrong", str(error), held, 0
    except MemoryError:
        return "memory", "MemoryError", held, 0
    except BaseException as error:
        return "error", type(error).__name__ + ": " + exam.shown(str(error), 300), held, 0
    if candidate.fatal is not None:
        return (*candidate.fatal, held, 0)
    if not candidate.calls:
        return "missing", "the tests never called it", held, 0
    return None, "", held, checks


def examine(link, sheet, request):
    """Run one candidate from start to end."""
    way = request["way"]
    ours, theirs = socket.socketpair()
    try:
        limits = {**request["limits"], "kind": sheet.kind if way != "shared" else "function"}
        socket.send_fds(link, [json.dumps(limits).encode()], [theirs.fileno()])
        theirs.close()
        opening = opening_of(sheet, way, request["source"], limits["answer_bytes"])
        candidate = proxy.Candidate(ours, opening, way == "in_place", exam.Odd() if sheet.accept else None)
        cause, detail, held, checks = judged(sheet, way, candidate, request["nonce"])
        # Sent while the channel is open, since closing it wakes the candidate once more.
        link.send(b"end")
        code, cpu_s, reason = cross.ENDING.unpack(link.recv(cross.ENDING.size))
    finally:
        ours.close()
    if cause is not None and reason.strip(b"\0"):
        cause, detail = "timeout", reason.strip(b"\0").decode()
    elif cause == "died":
        detail = "exit " + str(code)
    return {"cause": cause, "detail": exam.shown(detail, 300), "held": held, "checks": checks, "cpu_s": cpu_s}


def prepared(spec):
    """Return the exam, or the defect of the task as text."""
    try:
        return exam.Exam(spec)
    except BaseException as error:
        return type(error).__name__ + ": " + exam.shown(str(error), 280)


def main():
    link = socket.socket(fileno=int(sys.argv.pop()))
    os.closerange(3, link.fileno())
    os.closerange(link.fileno() + 1, 1 << 16)
    wish = json.loads(sys.argv.pop())
    confine.die_with_parent()
    confine.keep_strangers_out()
    cross.refuse_records()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    grader = socket.socket(fileno=0)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    if wish["mirror"]:
        confine.use_library(*wish["mirror"])
    if wish["packages"]:
        sys.path.append(wish["packages"])
    if wish["nobody"]:
        confine.leave_groups()
        confine.become_nobody(keep_reading=bool(wish["paths"]))
        confine.die_with_parent()
    if wish["paths"]:
        confine.Paths(wish["paths"]).apply()
    if wish["filter"]:
        confine.Filter(confine.CALLS - {"sendmsg"}).apply()
    ready = {}
    gc.freeze()
    while True:
        try:
            request = cross.receive(grader)
        except cross.BrokenError:
            return
        key = request["key"]
        if key not in ready:
            if len(ready) >= KNOWN:
                del ready[next(iter(ready))]
            ready[key] = prepared(request["spec"])
        sheet = ready[key]
        cross.send(grader, {"flaw": sheet} if type(sheet) is str else examine(link, sheet, request))


main()
