"""MBPP, full and sanitized: a sentence, a program that solves it, and assertions that call one of its functions."""

from __future__ import annotations

import ast
import builtins
import re

from autosurgeon.bench.formats.json_rows import Row, shown
from autosurgeon.bench.formats.syntax import docstring, functions_of, names_bound, names_read, parse
from autosurgeon.bench.formats.to_task import make_task
from autosurgeon.core.task import Task


def read_mbpp(row: Row, bench: str) -> Task:
    """The task of a row of either release.

    Full: task_id, text, code, test_list, test_setup_code (challenge_test_list is no part of the field's score).
    Sanitized: task_id, prompt, code, test_list, test_imports. Further fields are ignored.
    """
    code = _unix(row.text("code"))
    tests = [_unix(test) for test in row.texts("test_list")]
    lines = [*row.texts("test_imports", []), _unix(row.text("test_setup_code", ""))]
    setup = "".join(f"{line}\n" for line in lines if line.strip())
    text = _unix(row.text("text" if "text" in row.content else "prompt"))
    module, checks = _parsed(row, "code", code), [_parsed(row, "test_list", test) for test in tests]
    if not checks:
        raise row.misfit("test_list", "no tests", "at least one, since anything would pass")
    entry_point = _entry_point(row, module, checks)
    return make_task(
        row,
        task_id=mbpp_id(row),
        bench=bench,
        kind="function",
        prompt=docstring(f"{text}\n{tests[0]}"),
        entry_point=entry_point,
        tests="\n".join(tests) + "\n",
        support=_support(module, _parsed(row, "test_setup_code", setup), checks, entry_point) + setup,
        reference=code if code.endswith("\n") else code + "\n",
    )


def mbpp_id(row: Row) -> str:
    """`Mbpp/2`, which the releases spell 2 and EvalPlus spells out."""
    number = row.value("task_id", (int, str), "a number, or Mbpp/ and a number")
    if re.fullmatch(r"\d{1,9}|Mbpp/\d{1,9}", str(number), re.ASCII) is None:
        raise row.misfit("task_id", shown(number), "a number, or Mbpp/ and a number")
    return f"Mbpp/{str(number).removeprefix('Mbpp/')}"


def _unix(text: str) -> str:
    """With the line ends that Python's own parser makes of any; 972 of the 974 programs came with others."""
    return re.sub(r"\r\n?", "\n", text)


def _parsed(row: Row, field: str, source: str) -> ast.Module:
    module = parse(source)
    if module is None:
        raise row.misfit(field, shown(source), "Python")
    return module


def _entry_point(row: Row, module: ast.Module, checks: list[ast.Module]) -> str:
    """The function of the program that the tests call: every test, if there is one; else the last one defined.

    In the full release each row has one such function; where there were two, a helper would stand above its caller.
    """
    called = [
        {node.func.id for node in ast.walk(check) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        for check in checks
    ]
    defined = functions_of(module)
    by_all = [name for name in defined if all(name in names for names in called)]
    by_any = [name for name in defined if any(name in names for names in called)]
    if not by_any:
        wanted = f"a call of a function that code defines ({', '.join(defined) or 'it defines none'})"
        raise row.misfit("test_list", "no such call", wanted)
    return (by_all or by_any)[-1]


def _support(module: ast.Module, setup: ast.Module, checks: list[ast.Module], entry_point: str) -> str:
    """Those statements of the program that the tests cannot do without: a class, an import.

    In the full release: `class Pair` for 601, `import sys` for 596. What a row's set-up lacks is not lent to it: the
    set-up of 367 and 927 needs a class that no program has defined by then, so these rows are broken as published.
    """
    known = {entry_point, *dir(builtins)}.union(*map(names_bound, [setup, *checks]))
    missing = set[str]().union(*map(names_read, checks)) - known
    taken: set[int] = set()
    while missing:
        found = [
            index
            for index, statement in enumerate(module.body)
            if index not in taken and missing & names_bound(_top(statement))
        ]
        taken.update(found)
        known |= missing
        uses = (names_read(module.body[index]) - names_bound(module.body[index]) for index in found)
        missing = set[str]().union(*uses) - known
    return "".join(f"{ast.unparse(module.body[index])}\n" for index in sorted(taken))


def _top(statement: ast.stmt) -> ast.AST:
    """What a statement binds outside itself: of a definition, its name alone."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return ast.Name(statement.name, ast.Store())
    return statement
