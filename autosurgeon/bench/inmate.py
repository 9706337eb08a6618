"""The program inside the jail: a bare interpreter that forks once per candidate.

Started as `python -I -S inmate.py`, by path, so it imports nothing but the standard library and knows nothing of the
wanted answers: they stay with the grader. On the socket at descriptor 0 it takes one request at a time, as two
descriptors: where the candidate's answers go, and the file that says what to run. It sends back how the candidate's
process ended.
Values cross as typed plain data (see plain.py); an object of any other type is only named.
"""

import ast
import io
import json
import os
import resource
import signal
import socket
import sys

MAX_DEPTH = 32


def encode(value, depth=0):
    """Typed plain data; exact types only, so a subclass with a friendly __eq__ gets nowhere."""
    kind = type(value)
    if depth > MAX_DEPTH:
        return ["foreign", "too deep"]
    if value is None:
        return ["none"]
    if kind is bool or kind is str:
        return [kind.__name__, value]
    if kind is int:
        return ["int", hex(value)]
    if kind is float:
        return ["float", value.hex()]
    if kind in (list, tuple, set, frozenset):
        return [kind.__name__, [encode(item, depth + 1) for item in value]]
    if kind is dict:
        return ["dict", [[encode(key, depth + 1), encode(item, depth + 1)] for key, item in value.items()]]
    return ["foreign", str(kind.__name__)]


def run_function(scope, entry_point, given):
    return encode(scope[entry_point](*ast.literal_eval(given)))


def run_program(code, given):
    said = io.BytesIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(given.encode()), "utf-8")
    sys.stdout = io.TextIOWrapper(said, "utf-8", "replace", write_through=True)
    try:
        try:
            exec(code, {"__name__": "__main__"})
        except SystemExit as ending:
            if ending.code not in (None, 0):
                raise
        return ["str", said.getvalue().decode("utf-8", "replace")]
    finally:
        sys.stdin, sys.stdout = sys.__stdin__, sys.__stdout__


def describe(error):
    return (type(error).__name__ + ": " + str(error))[:200]


def testify(request, answers):
    """One JSON line per input; a candidate that does not even load says so once."""
    scope, code = {"__name__": "candidate"}, None
    try:
        code = compile(request["source"], "candidate", "exec")
        if request["kind"] == "function":
            exec(code, scope)
    except BaseException as error:
        answers.write(json.dumps({"error": describe(error)}) + "\n")
        return
    for given in request["given"]:
        try:
            if request["kind"] == "function":
                answer = {"value": run_function(scope, request["entry_point"], given)}
            else:
                answer = {"value": run_program(code, given)}
        except BaseException as error:
            answer = {"error": describe(error)}
        answers.write(json.dumps(answer) + "\n")


def become_candidate(request, descriptor):
    os.setsid()
    os.chdir(request["folder"])
    quiet = os.open(os.devnull, os.O_RDWR)
    for target in (0, 1, 2):
        os.dup2(quiet, target)
    for limit, soft, hard in request["limits"]:
        resource.setrlimit(getattr(resource, limit), (soft, hard))
    with os.fdopen(descriptor, "w", buffering=1) as answers:
        testify(request, answers)


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    grader = socket.socket(fileno=0)
    while True:
        message, descriptors, _, _ = socket.recv_fds(grader, 16, 2)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            grader.detach()
            try:
                with os.fdopen(descriptors[1], "rb") as letter:
                    request = json.load(letter)
                become_candidate(request, descriptors[0])
            finally:
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)
        grader.send(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        grader.send(b"%d\n" % os.waitstatus_to_exitcode(status))


main()
