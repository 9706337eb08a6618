"""The candidate as the tests see it: a callable that returns plain data or raises."""

import builtins

import cross


class Lost(BaseException):
    """The candidate cannot answer any more; a BaseException, so that no `except Exception` of a test hides it."""


class CandidateError(Exception):
    """The candidate raised an exception that is not a builtin one."""


class Unplain(BaseException):
    """The candidate's answer is not plain data."""


class CandidateAssertion(AssertionError):
    """An assertion that fails in the candidate and not in the tests."""


class Candidate:
    """The other side of the channel, with its final failure, if any."""

    def __init__(self, channel, opening, in_place, odd=None):
        self.most = opening["answer_bytes"]
        self.channel = channel
        self.opening = opening
        self.odd = odd
        self.in_place = in_place
        self.calls = 0
        self.fatal = None

    def lose(self, cause, detail):
        """Record a final failure, which tests cannot undo."""
        self.fatal = (cause, detail)
        return Lost()

    def ask(self, call):
        """One call's answer, and the arguments as they are after it; Lost when none comes."""
        if self.fatal is not None:
            raise Lost
        self.calls += 1
        if self.opening is not None:
            # Sent with the first call, so that the process wakes up once for both.
            call, self.opening = {**self.opening, "call": call}, None
        try:
            cross.send(self.channel, call)
            answer = cross.receive(self.channel, self.most + 1024)
        except OverflowError as error:
            raise self.lose("output", str(error)) from None
        except cross.NotPlainError as error:
            raise self.lose("type", str(error)) from None
        except cross.BrokenError:
            raise self.lose("died", "its process ended") from None
        return self.value_of(answer)

    def value_of(self, answer):
        """The decoded answer; what it raised is raised here."""
        if type(answer) is not dict:
            raise self.lose("type", "malformed")
        if "value" in answer:
            try:
                value = cross.decode(answer["value"])
                return value, cross.decode(answer["given"]) if self.in_place and "given" in answer else None
            except cross.NotPlainError as error:
                raise Unplain(str(error)) from None
        detail = answer.get("detail")
        detail = detail if type(detail) is str else ""
        cause = answer.get("refused")
        if cause == "type":
            raise Unplain(detail)
        if cause in ("output", "missing", "syntax"):
            raise self.lose(cause, detail)
        name = answer.get("raised")
        if answer.get("loading"):
            raise self.lose("memory" if name == "MemoryError" else "error", str(name) + ": " + detail)
        raise raised(name, detail)

    def __call__(self, given, named):
        try:
            call = {"given": argument(given), "named": {key: argument(item) for key, item in named.items()}}
        except cross.NotPlainError as error:
            raise self.lose("type", "an argument cannot cross: " + str(error)) from None
        try:
            value, looked_at = self.ask(call)
        except Unplain as error:
            # A special oracle may only ask whether there is an answer at all; to any other it is a failure for good.
            if self.odd is None:
                raise self.lose("type", str(error)) from None
            return self.odd
        if looked_at is not None:
            for mine, theirs in zip(given, looked_at):
                renew(mine, theirs)
        return value


def argument(value):
    """Plain data, or objects of the tests' own classes by their attributes; NotPlainError for a function."""
    try:
        return cross.encode(value)
    except cross.NotPlainError:
        return cross.encode(described(value))


def described(value):
    if type(value) in (list, tuple):
        return type(value)(map(described, value))
    if type(value) is dict:
        return {key: described(item) for key, item in value.items()}
    if type(type(value)) is type and type(value).__module__ == "tests":
        return cross.Record({name: described(item) for name, item in vars(value).items()})
    return value


def raised(name, detail):
    """A builtin exception of that name; never one that the language itself takes for the end of a loop or a program."""
    kind = getattr(builtins, name, None) if type(name) is str else None
    plain = isinstance(kind, type) and issubclass(kind, Exception)
    if not plain or issubclass(kind, (StopIteration, StopAsyncIteration)):
        return CandidateError(str(name) + ": " + detail)
    if kind is AssertionError:
        return CandidateAssertion(detail)
    try:
        return kind(detail)
    except TypeError:
        return CandidateError(name + ": " + detail)


def renew(mine, theirs):
    """Copy an in-place change of an argument back."""
    if type(mine) is not type(theirs):
        return
    if isinstance(mine, (list, bytearray)):
        mine[:] = theirs
    elif isinstance(mine, (dict, set)):
        mine.clear()
        mine.update(theirs)
