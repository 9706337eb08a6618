"""A package that is missing or broken is one line at the start, with what to type, and never a night of held passes."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hidden import autosurgeon_without, python_without
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from program import autosurgeon

import autosurgeon as package
from autosurgeon.cli.packages import PACKAGES, check_packages, explain_import, find_broken
from autosurgeon.core.recipe import Quantization
from autosurgeon.errors import ExitCode, InstallError, UserError
from autosurgeon.runner.stack import QUANTIZED, STACK, check_stack

ROOT = Path(package.__file__).parent
PROJECT = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL = {"gguf", "huggingface_hub", "numpy", "psycopg"}
"""Of extras; who imports one of them has a line of its own where it is missing."""
ELSEWHERE = ("capsule", "bench/inside")
MODULES = sorted({module for modules in PACKAGES.values() for module in modules})


def imported(path: Path) -> set[str]:
    """Every module that a file imports, at its head or in a function, of neither the standard library nor this one."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return {name for name in found if top(name) not in sys.stdlib_module_names | {"autosurgeon"}}


def top(module: str) -> str:
    return module.partition(".")[0]


def name_of(requirement: str) -> str:
    return re.split(r"[<>=!~ ;]", requirement)[0]


def refused(done: subprocess.CompletedProcess[str], name: str) -> str:
    """The one line, which names the package and ends with what to type."""
    assert done.returncode == ExitCode.INPUT, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert name in line
    assert "-m pip install --force-reinstall" in line
    return line


def test_every_dependency_is_in_the_table() -> None:
    assert sorted(PACKAGES, key=str.lower) == sorted(map(name_of, PROJECT["dependencies"]), key=str.lower)


def test_every_module_that_the_controller_imports_is_in_the_table() -> None:
    files = [path for path in ROOT.rglob("*.py") if not any(path.is_relative_to(ROOT / part) for part in ELSEWHERE)]
    found = {module for path in files for module in imported(path) if top(module) not in OPTIONAL}
    assert found <= set(MODULES)


def test_the_program_begins_where_a_failed_import_becomes_a_line() -> None:
    assert PROJECT["scripts"] == {"autosurgeon": "autosurgeon.__main__:main"}


@pytest.mark.parametrize("module", MODULES)
def test_each_module_that_cannot_be_imported_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_broken() == []
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InstallError, match="packages that autosurgeon needs cannot be imported") as caught:
        check_packages()
    assert module in str(caught.value)
    assert next(name for name, modules in PACKAGES.items() if module in modules) in str(caught.value)


def test_a_fault_of_our_own_stays_a_traceback() -> None:
    assert explain_import(ImportError("cannot import name 'x'", name="autosurgeon.config")) is None
    assert explain_import(AttributeError("x")) is None
    assert "pip install --force-reinstall gguf" in str(explain_import(ModuleNotFoundError("gguf", name="gguf.quants")))


@pytest.mark.parametrize(
    ("name", "command"),
    [("typer", "--version"), ("rich", "status"), ("prompt_toolkit", "policy check"), ("scipy", "run"), ("cel", "run")],
)
def test_a_missing_package_is_one_line_at_the_start(name: str, command: str, tmp_path: Path) -> None:
    where = ("--workspace", tmp_path / "w") if command in ("run", "status") else ()
    refused(autosurgeon_without(tmp_path / "hidden", name, *command.split(), *where), name)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("error", ["OSError('libstdc++.so.6: version not found')", "AttributeError('no attribute y')"])
def test_a_package_that_is_there_and_broken_is_one_line_too(error: str, tmp_path: Path) -> None:
    done = autosurgeon_without(tmp_path / "hidden", "scipy", "doctor", "--workspace", tmp_path, error=error)
    assert error.partition("(")[0] in refused(done, "scipy")


@pytest.mark.parametrize("name", ["anyio", "h11"])
def test_a_package_that_a_server_alone_needs_is_a_line_where_one_is_asked(name: str, tmp_path: Path) -> None:
    tasks = ROOT.parent / "data" / "lab" / "lab-mbpp.jsonl"
    asked = ("bench", "run", "--format", "native", "--tasks", tasks, "--out", tmp_path / "o", "--served", "m")
    refused(autosurgeon_without(tmp_path / "hidden", name, *asked, "--url", "http://127.0.0.1:9/v1"), name)


@pytest.mark.parametrize("name", ["peft", "safetensors"])
def test_an_interpreter_of_capsules_that_lacks_a_package_ends_a_run_at_its_start(name: str, tmp_path: Path) -> None:
    python = python_without(tmp_path / "other", name)
    (tmp_path / "autosurgeon.toml").write_text(f'[capsule]\npython = "{python}"\n')
    line = refused(autosurgeon("run", "--workspace", tmp_path, "-n", 1), name)
    assert f"`{python} -m pip install --force-reinstall 'autosurgeon[capsule]'`" in line
    assert not (tmp_path / "data").exists()


def test_the_stack_is_asked_for_what_the_recipe_needs(tmp_path: Path) -> None:
    python = str(python_without(tmp_path, *QUANTIZED))
    check_stack(python, Quantization.NONE)
    with pytest.raises(InstallError, match=r"bitsandbytes .*accelerate"):
        check_stack(python, Quantization.NF4)
    assert {"torch", "transformers", "peft", "safetensors"} <= set(STACK)


def test_an_interpreter_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the capsule's interpreter cannot be started; got No such file"):
        check_stack(str(tmp_path / "nonexistent"), Quantization.NONE)


def closure(requirements: list[str]) -> set[str]:
    """The distributions that requirements ask for, and what those ask for in turn, without extras that nobody asks."""
    known: set[tuple[str, str]] = set()
    waiting = [(Requirement(line), "") for line in requirements]
    while waiting:
        wanted, extra = waiting.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        for with_extra in ("", *wanted.extras):
            if (wanted.name, with_extra) not in known:
                known.add((wanted.name, with_extra))
                asked = importlib.metadata.requires(wanted.name) or []
                waiting += [(Requirement(line), with_extra) for line in asked]
    return {canonicalize_name(name) for name, _ in known}


def packages_of(distributions: set[str]) -> list[str]:
    found = importlib.metadata.packages_distributions()
    names = {name for name, made_by in found.items() if distributions & {canonicalize_name(one) for one in made_by}}
    return sorted(name for name in names if name.isidentifier() and name not in ("autosurgeon", "__pycache__"))


LOAD = "import autosurgeon.cli.packages as packages; packages.check_packages()"


@pytest.mark.slow
def test_each_package_alone_taken_out_is_a_line_at_the_start_of_run_doctor_and_policy_check(tmp_path: Path) -> None:
    refusals = 0
    for name in packages_of(closure(PROJECT["dependencies"])):
        checked = autosurgeon_without(tmp_path / name, name, "policy", "check")
        if checked.returncode != ExitCode.DONE:
            refused(checked, name)
        environment = os.environ | {"PYTHONPATH": str(tmp_path / name)}
        if subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, check=False).returncode:
            for command in ("run", "doctor"):
                refused(autosurgeon_without(tmp_path / name, name, command, "--workspace", tmp_path / "w"), name)
            refusals += 1
        # What nothing at the start imports, or does without, no pass imports either; see below.
    assert refusals > 25
    assert not (tmp_path / "w").exists()


NIGHT = """
import sys
import autosurgeon.cli.main, autosurgeon.cli.run as run
from autosurgeon.cli.packages import check_packages
seen = set()
def check():
    check_packages()
    seen.update(module.partition(".")[0] for module in sys.modules)
run.check_packages = check
try:
    autosurgeon.cli.main.main()
except SystemExit as ended:
    assert not ended.code, ended.code
late = {module.partition(".")[0] for module in sys.modules} - seen - sys.stdlib_module_names
print(f"late: {sorted(late)}")
"""


@pytest.mark.slow
def test_a_pass_imports_no_package_that_the_start_did_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NIGHT, "run", "-n", "1", "--workspace", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "late: []", done.stdout + done.stderr
