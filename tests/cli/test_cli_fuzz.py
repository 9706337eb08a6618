"""Every option and argument of every command is given every odd value: no traceback, and no exit code of a fault.

The table of commands is the program's own, so that a new one is tried without a word here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import resource
import shutil
import signal
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import pytest
import typer.main
from fakes import ScriptedCapsules
from oddvalues import VALUES, lay_out, spelled
from program import autosurgeon
from workspaces import finish_workspace

from autosurgeon import wiring
from autosurgeon.cli import doctor, doctor_settings, simulate
from autosurgeon.cli.main import app
from autosurgeon.config import shipped
from autosurgeon.errors import EXITS, CapsuleError, ExitCode
from autosurgeon.runner.capsules import Capsules

LIMIT_S = 120.0
"""After which a command is interrupted, which is a fault too."""
MEMORY_BYTES = 6 << 30
FEW = 2
"""Values of the table that the short form gives each option."""
PLAIN = {
    "number": "1",
    "what": "1",
    "task": "b/gate-0",
    "decision_id": "pass-0001-smoke",
    "reason": "why",
    "expires": "+1h",
    "verdict": "accept",
    "format": "native",
    "tasks": "{root}/tasks.jsonl",
    "samples": "{root}/samples.jsonl",
    "evidence": "{root}/evidence.json",
    "a": str(shipped("policies", "bd62.yaml")),
    "b": str(shipped("policies", "strict.yaml")),
    "out": "{scratch}/out",
}
"""Values of parameters that a command cannot do without; any other gets a word."""

QUICK: dict[tuple[str, ...], list[str]] = {("simulate",): ["--workers=1"]}
"""Words before those that are tried, so that a command stays in this process."""


class Try(NamedTuple):
    """One value for one parameter."""

    command: tuple[str, ...]
    parameter: str
    value: str
    words: tuple[str, ...]


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command that does something, with its words."""
    below = getattr(command, "commands", {})
    if not below:
        yield path, command
    for name, one in below.items():
        yield from leaves(one, (*path, name))


def tries() -> Iterator[Try]:
    """Every value for every parameter, beside what the command cannot do without."""
    for path, command in leaves(typer.main.get_command(app)):
        takes = {param.opts[0] for param in command.params}
        for param in command.params:
            if param.name == "help" or getattr(param, "is_flag", False):
                continue
            others = [other for other in command.params if other is not param and other.required]
            for value in VALUES:
                words = list(QUICK.get(path, []))
                words += [word for other in others for word in given(other, PLAIN.get(str(other.name), "word"))]
                words += given(param, value)
                if "--workspace" in takes and param.opts[0] != "--workspace":
                    words += ["--workspace", "{root}"]
                yield Try(path, param.opts[0], value, (*path, *words))


def given(param: Any, value: str) -> list[str]:
    """The words that give a parameter a value."""
    if param.param_type_name == "option":
        return [f"{param.opts[0]}={value}"]
    return [value]


@contextlib.contextmanager
def stopped_loop(*arguments: Any, **named: Any) -> Iterator[Any]:
    """What a run has, but for a model, with a stop requested."""
    with real_loop(*arguments, **named) as ins:
        ins.brakes.request_stop("by the test")
        yield dataclasses.replace(ins, capsules=ScriptedCapsules(dict(ins.tasks), lambda generation, task: True))


real_loop = wiring.open_loop


def not_here(*_: Any, **__: Any) -> NoReturn:
    raise CapsuleError("killed", "by the test")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The finished workspace and whatever a value may name, by name."""
    root = tmp_path_factory.mktemp("workspace")
    finish_workspace(root)
    (root / "samples.jsonl").write_text('{"task_id": "b/gate-0", "completion": "x"}\n')
    (root / "evidence.json").write_text(json.dumps({"recipe.epochs": 2}))
    scratch = tmp_path_factory.mktemp("scratch")
    return {"root": str(root), "scratch": str(scratch)} | lay_out(tmp_path_factory.mktemp("named"))


@pytest.fixture
def confined(places: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands stand in a scratch folder, have no model, and neither time nor memory without end."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.chdir(places["scratch"])
    monkeypatch.setattr(wiring, "open_loop", stopped_loop)
    monkeypatch.setattr(Capsules, "run", not_here)
    monkeypatch.setattr(simulate, "campaign", not_here)
    # They start other programs, for seconds, and take no option's value.
    monkeypatch.setattr(doctor, "_jail", lambda settings: [])
    monkeypatch.setitem(doctor_settings.TRIED, "capsule.python", lambda subject: iter(()))
    monkeypatch.setattr(Capsules, "warm_up", lambda self: None)
    before, limits = signal.signal(signal.SIGALRM, interrupt), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
    signal.signal(signal.SIGALRM, before)


def fault(one: Try, places: dict[str, str]) -> str | None:
    """What is wrong with how a command ends; None where nothing is."""
    shutil.rmtree(f"{places['scratch']}/out", ignore_errors=True)
    words = [spelled(word, places) for word in one.words]
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        done = autosurgeon(*words)
    except BaseException:
        return traceback.format_exc(limit=-4)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if done.returncode not in EXITS or done.returncode == ExitCode.FAULT:
        return f"exit code {done.returncode}: {done.stderr[-500:]}"
    if done.returncode == ExitCode.INTERRUPTED:
        return f"more than {LIMIT_S:.0f} s"
    return f"a traceback: {done.stderr[-500:]}" if "Traceback" in done.stderr else None


def faults(chosen: list[Try], places: dict[str, str]) -> list[str]:
    found = []
    for one in chosen:
        if (wrong := fault(one, places)) is not None:
            found.append(f"{' '.join(one.command)} {one.parameter} {one.value[:60]!r}: {wrong}")
    return found


@pytest.mark.usefixtures("confined")
def test_a_few_odd_values_for_every_option_are_no_fault(places: dict[str, str]) -> None:
    every = list(tries())
    # A step that has no divisor in common with the table's length: each value comes to some option.
    chosen = every[:: len(VALUES) // FEW - 1]
    assert {one.command for one in chosen} == {one.command for one in every}
    assert faults(chosen, places) == []


@pytest.mark.slow
@pytest.mark.usefixtures("confined")
def test_no_odd_value_for_any_option_is_a_fault(places: dict[str, str]) -> None:
    assert faults(list(tries()), places) == []
