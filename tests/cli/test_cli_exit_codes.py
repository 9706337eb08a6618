"""One table of exit codes for all commands: each cause has a code of its own."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import autosurgeon
from autosurgeon.cli import main
from autosurgeon.cli.unit import CLEAN, FINAL
from autosurgeon.errors import EXITS, AutosurgeonError, CapsuleError, ExitCode, StoreError, UserError

PACKAGE = Path(autosurgeon.__file__).parent
ROOT = PACKAGE.parent
PROGRAMS = ("capsule", "bench/inside", "loop/engine/command_guard.py")
"""What runs as a program of its own, and whose exit code no user sees."""
ENDS = {"Exit", "exit", "_exit", "SystemExit", "_fail"}
SOURCES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not any(path.is_relative_to(PACKAGE / program) for program in PROGRAMS)
]
SERVICE = {None: "", True: "is started again", False: "ends"}


def stray_numbers(source: str) -> list[int]:
    """Exit codes that are spelled as numbers: what a call that ends the program is given, or `exit_code` is set to."""
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found += [*node.args, *(word.value for word in node.keywords)] if name in ENDS else []
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "exit_code" for target in node.targets):
            found.append(node.value)
    numbers = [inner for given in found for inner in ast.walk(given) if isinstance(inner, ast.Constant)]
    return [number.value for number in numbers if type(number.value) is int]


def all_errors(kind: type[AutosurgeonError] = AutosurgeonError) -> list[type[AutosurgeonError]]:
    return [kind, *(one for below in kind.__subclasses__() for one in all_errors(below))]


def test_the_walk_finds_a_number() -> None:
    ends = "import typer, sys\nraise typer.Exit(3 if x else 0)\nsys.exit(code=7)\nclass A:\n    exit_code = 9\n"
    assert sorted(stray_numbers(ends)) == [0, 3, 7, 9]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_command_ends_with_a_number_outside_the_table(path: Path) -> None:
    assert stray_numbers(path.read_text(encoding="utf-8")) == []


def test_the_documentation_holds_the_table() -> None:
    rows = re.findall(
        r"^\| (\d+) \| (.+?) \| ?(.*?) ?\|$", (ROOT / "docs" / "commands.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert rows == [(str(code), EXITS[code].meaning, SERVICE[EXITS[code].restarts]) for code in ExitCode]


def test_every_code_that_a_help_text_names_is_in_the_table() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            told = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
            for number in re.findall(r"exit codes? (\d+)", told or "", re.IGNORECASE):
                assert int(number) in EXITS, f"{path}: {number}"
                assert int(number) != ExitCode.FAULT, f"{path}: no command ends so by intention"
            if told and ("INVALID" in told or "in mode B" in told):
                assert "xit code 4" not in told, f"{path}: {ExitCode.INVALID} is that code"


def test_each_kind_of_error_has_a_code_that_no_verdict_and_no_finding_has() -> None:
    codes = {kind.__name__: kind.exit_code for kind in all_errors()}
    assert set(codes.values()) <= {
        *(ExitCode.FAULT, ExitCode.INPUT, ExitCode.STORE, ExitCode.DISK, ExitCode.WORLD),
    }
    assert codes["UserError"] == codes["PolicyError"] == ExitCode.INPUT
    assert codes["AutosurgeonError"] == ExitCode.FAULT
    assert list(codes.values()).count(ExitCode.FAULT) == 1, "the root alone, which is never raised"


@pytest.mark.parametrize("error", [UserError("a"), StoreError("a"), CapsuleError("hung", "a")], ids=repr)
def test_an_error_ends_with_the_code_of_its_kind_and_one_line(
    error: AutosurgeonError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "run_command", fail)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert (ended.value.code, len(capsys.readouterr().err.splitlines())) == (error.exit_code, 1)


def test_what_nothing_foresees_stays_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(main, "run_command", fail)
    with pytest.raises(ZeroDivisionError):
        main.main()


def test_an_interrupt_is_one_line_with_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["autosurgeon", "policy", "schema"])
    monkeypatch.setattr("autosurgeon.policy.policy_schema.policy_schema", interrupted)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == ExitCode.INTERRUPTED
    assert capsys.readouterr().err.startswith("error: interrupted; ")


def test_a_service_ends_for_good_with_what_no_restart_mends() -> None:
    assert set(FINAL) == {ExitCode.INPUT, ExitCode.DISK, ExitCode.BRAKED}
    assert {code for code in ExitCode if EXITS[code].restarts} >= {ExitCode.FAULT, ExitCode.STORE, ExitCode.WORLD}
    assert not {*FINAL, *CLEAN} & {code for code in ExitCode if EXITS[code].restarts}
