"""A candidate's side of an exam, in a process forked for it."""

import atexit
import errno
import os
import resource
import sys
import types

import cross


def name_of(error):
    return type.__dict__["__name__"].__get__(type(error))


def described(error):
    """Return an exception as data; the candidate's code computes its text, so that may fail too."""
    try:
        text = str(error)[:300]
    except BaseException:
        text = ""
    return {"raised": name_of(error), "detail": text if type(text) is str else ""}


def find(scope, entry_point):
    """Return the function, or the method of a new object of its class."""
    holder, _, method = entry_point.rpartition(".")
    return getattr(scope[holder](), method) if holder else scope[method]


def module(name):
    """Return the namespace of a new module, registered in `sys.modules` as dataclasses require."""
    sys.modules[name] = types.ModuleType(name)
    return sys.modules[name].__dict__


def threads():
    """Return the candidate's threads that a process joins at its end."""
    threading = sys.modules.get("threading")
    if threading is None:
        return []
    return [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]


def limit_files(most=None):
    """Limit the size of files in bytes; without a number, the server's limit holds."""
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
        # The size is checked before encoding, since JSON needs three times the memory of the text.
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
        # JSON may double the size.
        self.most = opening["answer_bytes"] // 2

    def answer(self, call):
        os.ftruncate(self.stdin, 0)
        os.ftruncate(self.stdout, 0)
        limit_files()
        os.pwrite(self.stdin, call["text"].encode("utf-8", "surrogatepass"), 0)
        # Endless output ends at the first excess byte, not at the time limit.
        limit_files(self.most + 1)
        for descriptor, target in ((self.stdin, 0), (self.stdout, 1)):
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.dup2(descriptor, target)
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout = output = open(1, "w", encoding="utf-8", errors="replace", closefd=False)
        try:
            exec(self.code, module("__main__"))
        except SystemExit as ending:
            if ending.code not in (None, 0):
                raise
        # A process of its own ends with these steps.
        for thread in threads():
            thread.join()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, output, sys.__stdout__):
            if not stream.closed:
                stream.flush()
        # The program may have replaced the stream, so the size comes from the descriptor.
        size = os.fstat(self.stdout).st_size
        if size > self.most:
            return {"refused": "output", "detail": str(size) + " bytes"}
        return {"value": os.pread(self.stdout, size, 0).decode("utf-8", "replace")}


class Shared:
    """The weaker tier: tests and candidate in one interpreter; the nonce is returned after all checks are counted."""

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
    """Load the candidate, then answer calls until the channel ends; the first call carries the source."""
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
        flaw = {"refused": "syntax", "detail": described(error)["detail"]}
    except BaseException as error:
        flaw = {**described(error), "loading": True}
    while True:
        answer = flaw
        if answer is None:
            try:
                answer = candidate.answer(call)
            except cross.NotPlainError as error:
                answer = {"refused": "type", "detail": str(error)[:300]}
            except BaseException as error:
                full = isinstance(error, OSError) and error.errno == errno.EFBIG
                answer = {"refused": "output", "detail": "a full file"} if full else described(error)
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
