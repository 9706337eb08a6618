"""Every exception of autosurgeon.

AutosurgeonError
├── UserError            yours to fix: a bad file, flag or input. One line, no traceback
│   ├── PolicyError      a policy that cannot be trusted to judge
│   ├── InstallError     a package that cannot be imported or does not work
│   │   └── EvaluatorError  expressions cannot be evaluated, whatever the evidence
│   ├── PackError        a checkpoint or pack that is missing, damaged or of a refused kind
│   └── WorkspaceError   a workspace that cannot be opened: newer schema, held by another loop
├── WorldError           the world failed, not the model: recorded, the pass ends as FAILED, the loop goes on
│   ├── CapsuleError     a capsule died, hung, ran out of memory or left no outcome; `cause` names which
│   └── ServerError      a server that answers for a model is away, slow, or answers what is no answer
├── StoreError           the memory failed: the loop stops, since nothing can be recorded
└── DurabilityError      the disk did not take a flush: the loop stops and tries nothing again

`ExitCode` is the one table of exit codes: each cause has a code of its own, whatever the command.

A message says what, got, wanted and where, and what to do next:

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
    """Every exit code of every command; `EXITS` holds what each one means."""

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
    """What an exit code means, and whether a service that ends with it is started again; None: no run ends with it."""

    meaning: str
    restarts: bool | None


EXITS = {
    ExitCode.DONE: Exit("done; of `run`: the budget is used up, or somebody asked it to stop", False),
    ExitCode.FAULT: Exit("a fault of autosurgeon's own, with its traceback", True),
    ExitCode.INPUT: Exit("yours to mend: a file, a flag, a setting, an install, a workspace that is in use", False),
    ExitCode.STORE: Exit("the memory failed: the database is away, damaged, or locked too long", True),
    ExitCode.DISK: Exit("the disk did not take a flush: look at it before anything runs again", False),
    ExitCode.BRAKED: Exit("of `run`: a night that cannot succeed, such as too many failures or a shut gate", False),
    ExitCode.WORLD: Exit("the world failed: a capsule, a server or a grader; nothing is known of the model", True),
    ExitCode.WARNINGS: Exit("verdict ACCEPT, though a rule that does not bind objects", None),
    ExitCode.REJECT: Exit("verdict REJECT", None),
    ExitCode.HOLD: Exit("verdict INCONCLUSIVE: the evidence does not suffice", None),
    ExitCode.INVALID: Exit("verdict INVALID: what was given is no evidence", None),
    ExitCode.ERROR: Exit("verdict ERROR: a rule could not be evaluated", None),
    ExitCode.FINDING: Exit("a finding, where the command is there to find: a difference, a flip, damage", None),
    ExitCode.INTERRUPTED: Exit("interrupted twice", False),
    ExitCode.CLOSED_PIPE: Exit("the reader of the output closed its pipe", True),
}
"""The README's table holds the same rows, and the unit of `service print` restarts by it."""


class AutosurgeonError(Exception):
    """The root; never raised itself."""

    exit_code = ExitCode.FAULT


class UserError(AutosurgeonError):
    """Something a person can put right: what, got, wanted, where, in one line."""

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
    """A policy that cannot be trusted to judge."""


class InstallError(UserError):
    """A package that cannot be imported or does not work; the line ends with the command that mends it."""

    def __init__(self, what: str, *, got: object, packages: Iterable[str], python: str = sys.executable) -> None:
        command = f"`{python} -m pip install --force-reinstall {' '.join(packages)}`"
        super().__init__(what, got=got, wanted=command)


class EvaluatorError(InstallError):
    """The evaluator of expressions failed, and not for what it was given; `reason` is `Type: text` of its error."""

    def __init__(self, reason: str) -> None:
        what = "the expressions of a policy cannot be evaluated"
        super().__init__(what, got=reason, packages=["common-expression-language"])
        self.reason = reason


class PackError(UserError):
    """A checkpoint or pack that is missing, damaged or of a refused kind."""


class WorkspaceError(UserError):
    """A workspace that cannot be opened."""


class WorldError(AutosurgeonError):
    """The world failed, not the model."""

    exit_code = ExitCode.WORLD


class CapsuleError(WorldError):
    """A capsule did not deliver; `cause` says why, in one of these words.

    `killed` by somebody else's signal; `crash`: it ended with an error; `timeout`: longer than `capsule.wall_s`;
    `hung`: no progress for `capsule.heartbeat_s`; `memory`: the host's or a GPU's ran out, or `capsule.memory_gib` was
    passed; `gpu_memory`: a GPU was not free before it began; `bad_outcome`: what it left is no result; `wedged`: it, or
    what it started, does not die.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(f"capsule {cause}: {message}")
        self.cause = cause


class ServerError(WorldError):
    """A server that answers for a model did not deliver; the line names it."""

    def __init__(self, server: str, what: str) -> None:
        super().__init__(" ".join(f"server {server}: {what}".split()))
        self.server = server


class StoreError(AutosurgeonError):
    """The memory failed; nothing can be recorded, so the loop stops."""

    exit_code = ExitCode.STORE


class DurabilityError(AutosurgeonError):
    """The disk did not take what was flushed to it; what is there now is known only after it was read back."""

    exit_code = ExitCode.DISK

    def __init__(self, where: Path, error: OSError) -> None:
        super().__init__(
            f"the disk did not take a write: {error.strerror or error}; look at the disk, then run again: "
            f"the next start reads back what matters ({where})"
        )


@contextlib.contextmanager
def durably(where: Path) -> Iterator[None]:
    """Raise what goes wrong in a flush or rename as DurabilityError.

    It is never retried: the kernel may have dropped what it could not write, so that a later success proves nothing.
    """
    try:
        yield
    except OSError as error:
        raise DurabilityError(where, error) from error


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped name: `did you mean 'x'?`, or the known names when none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"one of {', '.join(names)}"
