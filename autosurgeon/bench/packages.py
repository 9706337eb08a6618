"""Packages that a jail offers besides the standard library, and what tests import."""

from __future__ import annotations

import ast
import functools
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from autosurgeon.bench.formats.syntax import parse
from autosurgeon.core.task import Task
from autosurgeon.errors import UserError

_IN_A_JAIL = frozenset({"candidate", "tests"})


class Package(NamedTuple):
    """An installed package, with its files and folders at the top of its site-packages."""

    name: str
    version: str
    entries: tuple[Path, ...]


@functools.cache
def find_packages(names: tuple[str, ...]) -> tuple[Package, ...]:
    """Return the installed packages of these names; UserError for one that is not installed or has no files."""
    return tuple(_package(name) for name in names)


def _package(name: str) -> Package:
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError) as error:
        wanted = f"an installed package: pip install {name}"
        raise UserError("a package of grading.packages is not installed", got=name, wanted=wanted) from error
    tops = sorted({Path(file).parts[0] for file in found.files or ()} - {"..", "__pycache__"})
    entries = [Path(str(found.locate_file(top))).resolve() for top in tops if not top.endswith((".dist-info", ".pth"))]
    if not entries:
        wanted = "a package with files of its own, not an editable one"
        raise UserError("a package of grading.packages has no files", got=name, wanted=wanted)
    return Package(name, found.version, tuple(entry for entry in entries if entry.exists()))


def missing_import(task: Task, packages: tuple[Package, ...]) -> str | None:
    """Return the first package that a task's tests import and the jail lacks."""
    offered = {entry.name.partition(".")[0] for package in packages for entry in package.entries}
    missing = _imports(task.support + "\n" + task.tests) - sys.stdlib_module_names - offered - _IN_A_JAIL
    return min(missing, default=None)


@functools.lru_cache(maxsize=1024)
def _imports(tests: str) -> frozenset[str]:
    """The packages that tests import when they start; an import inside `try` or a function may be left undone."""
    module = parse(tests) if "import" in tests else None
    names: set[str] = set()
    for node in module.body if module is not None else ():
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return frozenset(names)
