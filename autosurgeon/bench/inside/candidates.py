"""A candidate's side of an exam, in the process that was forked for it."""

import atexit
import errno
import os
import resource
import sys
import types

import cross


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


def module(name):
    """The namespace of a fresh module, which is to be found under its name, as dataclasses want it."""
    sys.modules[name] = types.ModuleType(name)
    return sys.modules[name].__dict__


def threads():
    """The candidate's threads that a process waits for at its end."""
    threading = sys.modules.get("threading")
    if threading is None:
        return []
    return [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]


def limit_files(most=None):
    """No file may grow beyond so many bytes, or beyond what the server lets it."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if most is None else most, hard))


class Function:
    """A candidate that defines a function."""

    def __init__(self, opening):
        self.scope = module("candidate")
        exec(compile(opening["source"], "candidate", "exec", dont_inherit=True), self.scope)
        self.look_back = opening["in_place"]
        self.entry_point = opening["entry_point"]
        self.most = opening["answer_bytes"]

    def answer(self, call):
        given = cross.decode(call["given"])
        named = {key: cross.decode(value) for key, value in call["named"].items()}
        try:
            function = find(self.scope, self.entry_point)
        except (KeyError, AttributeError):
            return {"refused": "missing", "detail": "no " + self.entry_point}
        value = function(*given, **named)
        # Told apart before it is written out as JSON, which takes three times the room of a text again.
        if type(value) in (str, bytes, bytearray) and len(value) > self.most:
            return {"refused": "output", "detail": "a text of " + str(len(value))}
        answer = {"value": cross.encode(value)}
        if self.look_back:
            answer["given"] = cross.encode(given)
        return answer


class Program:
    """A candidate that reads standard input and writes standard output, run anew for each input."""

    def __init__(self, opening):
        self.code = compile(opening["source"], "candidate", "exec", dont_inherit=True)
        self.stdin, self.stdout = opening["files"]
        # As JSON it may take twice as much.
        self.most = opening["answer_bytes"] // 2

    def answer(self, call):
        os.ftruncate(self.stdin, 0)
        os.ftruncate(self.stdout, 0)
        limit_files()
        os.pwrite(self.stdin, call["text"].encode("utf-8", "surrogatepass"), 0)
        # Who prints without end is stopped by the first byte too many, and not when its time is up.
        limit_files(self.most + 1)
        for descriptor, target in ((self.stdin, 0), (self.stdout, 1)):
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.dup2(descriptor, target)
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout = said = open(1, "w", encoding="utf-8", errors="replace", closefd=False)
        try:
            exec(self.code, module("__main__"))
        except SystemExit as ending:
            if ending.code not in (None, 0):
                raise
        # As a process of its own would end.
        for thread in threads():
            thread.join()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, said, sys.__stdout__):
            if not stream.closed:
                stream.flush()
        # By the descriptor and not by the stream, which the program may have replaced.
        size = os.fstat(self.stdout).st_size
        if size > self.most:
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

        scope = module("candidate")
        exec(compile(opening["source"], "candidate", "exec", dont_inherit=True), scope)
        tests = {"__name__": "tests", call["counter"]: counted}
        exec(compile(opening["support"], "support", "exec", dont_inherit=True), tests)
        tests["candidate"] = find(scope, opening["entry_point"])
        if opening["bind"]:
            tests[opening["entry_point"]] = tests["candidate"]
        exec(compile(opening["tests"], "tests", "exec", dont_inherit=True), tests)
        return {"value": {"tuple": [call["nonce"], checks[0]]}}


def testify(channel, *files):
    """Load the candidate, then answer each call until the channel ends; the first one comes with the source."""
    try:
        opening = cross.receive(channel)
        kind = {"function": Function, "stdin": Program, "shared": Shared}[opening["kind"]]
    except cross.BrokenError:
        return
    call, opening["files"] = opening.pop("call"), files
    candidate, flaw = None, None
    try:
        candidate = kind(opening)
    except SyntaxError as error:
        flaw = {"refused": "syntax", "detail": told(error)["detail"]}
    except BaseException as error:
        flaw = {**told(error), "loading": True}
    while True:
        answer = flaw
        if answer is None:
            try:
                answer = candidate.answer(call)
            except cross.NotPlainError as error:
                answer = {"refused": "type", "detail": str(error)[:300]}
            except BaseException as error:
                full = isinstance(error, OSError) and error.errno == errno.EFBIG
                answer = {"refused": "output", "detail": "a full file"} if full else told(error)
        reply(channel, answer, opening["answer_bytes"])
        try:
            call = cross.receive(channel)
        except cross.BrokenError:
            return


def reply(channel, answer, most):
    try:
        cross.send(channel, answer, most)
    except OverflowError as error:
        cross.send(channel, {"refused": "output", "detail": str(error)})
