"""Checks of the capsule's interpreter: it starts, has the required packages, and imports them."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from autosurgeon import __version__
from autosurgeon.errors import UserError

START_S, IMPORT_S = 30.0, 120.0
OLDEST = (3, 11)
EXTRA = "capsule"
ASK = """
import importlib.metadata, json, sys
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
def unfit(line):
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return False
    wanted, found = Requirement(line), version(Requirement(line).name)
    return found is not None and not wanted.specifier.contains(found, prereleases=True)
try:
    from autosurgeon import __version__ as own
except ImportError:
    own = None
stack = json.loads(sys.argv[1])
print(json.dumps({
    "python": list(sys.version_info[:2]),
    "own": own,
    "versions": {name: version(name) for name in stack},
    "unfit": [line for line in stack.values() if unfit(line)],
}))
"""
DEVICES = """
import json, torch
from autosurgeon.capsule.__main__ import load_stack
load_stack()
seen = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
found = [torch.cuda.get_device_properties(number) for number in seen]
print(json.dumps([[one.name, one.total_memory] for one in found]))
"""


class Interpreter:
    """The interpreter of capsules."""

    def __init__(self, python: str | None) -> None:
        """Take an interpreter by path or name; None is this one."""
        self._python = python or sys.executable
        self._setting = "capsule.python" if python else "this interpreter"

    def stack(self) -> str:
        """Return the versions of the packages; UserError if the interpreter or a package is missing or does not fit."""
        answer = self._started
        if isinstance(answer, UserError):
            raise answer
        if tuple(answer.get("python", OLDEST)) < OLDEST:
            got = ".".join(map(str, answer["python"]))
            raise self._error("Python is too old", got=got, wanted=f"{'.'.join(map(str, OLDEST))} or newer")
        install = f"`{self._python} -m pip install 'autosurgeon[{EXTRA}]'`"
        versions = answer.get("versions", {})
        missing = [name for name, version in versions.items() if version is None]
        if missing:
            raise self._error(f"{', '.join(missing)} not installed", wanted=install)
        if answer.get("unfit"):
            got = ", ".join(f"{_name(line)} {versions[_name(line)]}" for line in answer["unfit"])
            raise self._error("versions do not fit", got=got, wanted=f"{', '.join(answer['unfit'])}: {install}")
        if answer.get("own", __version__) != __version__:
            got = f"autosurgeon {answer['own']}" if answer["own"] else "no autosurgeon"
            raise self._error("its autosurgeon has a different version", got=got, wanted=f"autosurgeon {__version__}")
        return ", ".join(f"{name} {version}" for name, version in versions.items())

    def device(self) -> str:
        """Return the capsules' device; UserError if the packages cannot be imported or torch cannot use a GPU."""
        if isinstance(self._started, UserError):
            raise self._error("not checked, since the interpreter does not start", wanted="see `capsule stack`")
        found = self._ask(DEVICES, IMPORT_S, "torch does not answer")
        if found:
            return ", ".join(f"{name}, {size / (1 << 30):.0f} GiB" for name, size in found)
        if shutil.which("nvidia-smi"):
            raise self._error("there is a GPU that torch cannot use", wanted="the build of torch for its driver")
        return "no GPU: capsules compute on the CPU, which suits the lab; a model of 0.5B needs a GPU"

    @cached_property
    def _started(self) -> dict[str, Any] | UserError:
        """The interpreter's versions, or the error of its start; computed once."""
        stack = {_name(line): line for line in _requirements()}
        try:
            answer = self._ask(ASK, START_S, "the capsule's interpreter does not start", json.dumps(stack))
        except UserError as error:
            return error
        if isinstance(answer, dict):
            return answer
        return self._error("this is not a Python interpreter", wanted="a Python with the capsule's stack")

    def _ask(self, program: str, deadline_s: float, problem: str, *arguments: str) -> Any:
        """Run a program in the interpreter and return the last JSON that it prints."""
        from autosurgeon.core.ports import no_beat
        from autosurgeon.loop.engine.user_command import run_hook

        with tempfile.TemporaryDirectory(prefix="autosurgeon-doctor-") as folder:
            # Not the current folder, whose modules could shadow the packages.
            ran = run_hook([self._python, "-c", program, *arguments], {}, Path(folder), deadline_s, no_beat)
        if ran.error is not None:
            raise self._error(problem, got=ran.error)
        for line in reversed(ran.output.splitlines()):
            try:
                return json.loads(line)
            except ValueError:
                continue
        raise self._error("this is not a Python interpreter", got="no JSON", wanted="a Python interpreter")

    def _error(self, what: str, *, got: object = None, wanted: object = None) -> UserError:
        return UserError(what, got=got, wanted=wanted, where=f"{self._setting}: {self._python}")


def _requirements() -> list[str]:
    """List the capsule's requirements, such as `torch>=2.11`."""
    lines = importlib.metadata.requires("autosurgeon") or []
    marked = [line.partition(";") for line in lines]
    return [line.strip() for line, _, marker in marked if f"extra == '{EXTRA}'" in marker.replace('"', "'")]


def _name(requirement: str) -> str:
    return requirement[: next((i for i, sign in enumerate(requirement) if sign in "<>=!~[ "), len(requirement))]
