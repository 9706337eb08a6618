"""Every exception of autosurgeon.

AutosurgeonError
├── UserError            a bad file, flag or input that a person can fix: one line, no traceback
│   ├── PolicyError      an invalid policy
│   ├── InstallError     a package that cannot be imported or does not work
│   │   └── EvaluatorError  expressions cannot be evaluated, whatever the evidence
│   ├── PackError        a missing, damaged or unsupported checkpoint or pack
│   └── WorkspaceError   a workspace that cannot be opened: newer schema, held by another loop
├── WorldError           an external failure, not the model's: recorded, the pass ends as FAILED, the loop continues
│   ├── CapsuleError     a capsule died, hung, ran out of memory or left no outcome; `cause` names which
│   └── ServerError      a model's server is unreachable, slow, or sends an invalid answer
├── StoreError           the memory failed: the loop stops, since nothing can be recorded
└── DurabilityError      a flush to the disk failed: the loop stops without a retry

`ExitCode` is the only table of exit codes: each cause has its own code in every command.

A message names what, got, wanted and where, and what to do next:

    try:
        policy = load_policy(path)
    except UserError as error:
        print(error)
"""

from __future__ import annotations

import contextlib
import difflib
import sys
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple


class ExitCode(IntEnum):
    """Every exit code of every command; `EXITS` holds their meanings."""

    DONE = 0
    FAULT = 1
    INPUT = 2
    STORE = 3
    DISK = 4
    BRAKED = 5
    WORLD = 6
    WARNINGS = 10
    REJECT = 11
    HOLD = 12
    INVALID = 13
    ERROR = 14
    FINDING = 15
    INTERRUPTED = 130
    CLOSED_PIPE = 141


class Exit(NamedTuple):
    """The meaning of an exit code, and whether a service restarts after it; None where no run ends with it."""

    meaning: str
    restarts: bool | None


EXITS = {
    ExitCode.DONE: Exit("done; of `run`: the budget is used up, or a person stopped it", False),
    ExitCode.FAULT: Exit("a bug of autosurgeon, with its traceback", True),
    ExitCode.INPUT: Exit("for you to fix: a file, a flag, a setting, an installation, a workspace in use", False),
    ExitCode.STORE: Exit("the memory failed: the database is unreachable, damaged, or locked too long", True),
    ExitCode.DISK: Exit("a flush to the disk failed: check the disk before the next run", False),
    ExitCode.BRAKED: Exit("of `run`: it cannot succeed, such as after too many failures or with a closed gate", False),
    ExitCode.WORLD: Exit("an external failure of a capsule, a server or a grader; no result about the model", True),
    ExitCode.WARNINGS: Exit("verdict ACCEPT, with an objection of a rule that is not enforced", None),
    ExitCode.REJECT: Exit("verdict REJECT", None),
    ExitCode.HOLD: Exit("verdict INCONCLUSIVE: the evidence does not suffice", None),
    ExitCode.INVALID: Exit("verdict INVALID: the input is not valid evidence", None),
    ExitCode.ERROR: Exit("verdict ERROR: a rule could not be evaluated", None),
    ExitCode.FINDING: Exit("a finding of a checking command: a difference, a flip, damage", None),
    ExitCode.INTERRUPTED: Exit("interrupted twice", False),
    ExitCode.CLOSED_PIPE: Exit("the reader of the output closed its pipe", True),
}
"""docs/commands.md holds the same rows, and the unit of `service print` restarts by them."""


class AutosurgeonError(Exception):
    """The base of all errors; never raised itself."""

    exit_code = ExitCode.FAULT


class UserError(AutosurgeonError):
    """An error that a person can fix: what, got, wanted and where in one line."""

    exit_code = ExitCode.INPUT

    def __init__(
        self, what: str, *, got: object = None, wanted: object = None, where: Path | str | None = None
    ) -> None:
        parts = [what]
        if got is not None:
            parts.append(f"got {got}")
        if wanted is not None:
            parts.append(f"wanted {wanted}")
        line = "; ".join(parts)
        super().__init__(" ".join((f"{line} ({where})" if where is not None else line).split()))


class PolicyError(UserError):
    """An invalid policy."""


class InstallError(UserError):
    """A package that cannot be imported or does not work; the line ends with the command that fixes it."""

    def __init__(self, what: str, *, got: object, packages: Iterable[str], python: str = sys.executable) -> None:
        command = f"`{python} -m pip install --force-reinstall {' '.join(packages)}`"
        super().__init__(what, got=got, wanted=command)


class EvaluatorError(InstallError):
    """The evaluator of expressions failed regardless of its input; `reason` is `Type: text` of its error."""

    def __init__(self, reason: str) -> None:
        what = "the expressions of a policy cannot be evaluated"
        super().__init__(what, got=reason, packages=["common-expression-language"])
        self.reason = reason


class PackError(UserError):
    """A missing, damaged or unsupported checkpoint or pack."""


class WorkspaceError(UserError):
    """A workspace that cannot be opened."""


class WorldError(AutosurgeonError):
    """An external failure, not the model's."""

    exit_code = ExitCode.WORLD


class CapsuleError(WorldError):
    """A capsule gave no result; `cause` is one of these words.

    `killed`: by a foreign signal; `crash`: it ended with an error; `timeout`: it ran longer than `capsule.wall_s`;
    `hung`: no progress for `capsule.heartbeat_s`; `memory`: the memory of the host or a GPU ran out, or exceeded
    `capsule.memory_gib`; `gpu_memory`: a GPU was not free before the start; `bad_outcome`: its output is not a valid
    result; `wedged`: it or a child process cannot be killed.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(f"capsule {cause}: {message}")
        self.cause = cause


class ServerError(WorldError):
    """A model's server gave no answer; the line names the server."""

    def __init__(self, server: str, what: str) -> None:
        super().__init__(" ".join(f"server {server}: {what}".split()))
        self.server = server


class StoreError(AutosurgeonError):
    """The memory failed; nothing can be recorded, so the loop stops."""

    exit_code = ExitCode.STORE


class DurabilityError(AutosurgeonError):
    """A flush to the disk failed; its content is unknown until it is read again."""

    exit_code = ExitCode.DISK

    def __init__(self, where: Path, error: OSError) -> None:
        super().__init__(
            f"a write to the disk failed: {error.strerror or error}; check the disk, then run again: "
            f"the next start verifies the workspace ({where})"
        )


@contextlib.contextmanager
def durably(where: Path) -> Iterator[None]:
    """Raise the failure of a flush or rename as DurabilityError.

    A failure is never retried: the kernel may have dropped the data, so that a later success proves nothing.
    """
    try:
        yield
    except OSError as error:
        raise DurabilityError(where, error) from error


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a mistyped name: `did you mean 'x'?`, or the known names if none is similar."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"one of {', '.join(names)}"
