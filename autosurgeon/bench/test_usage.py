"""How a task's tests use the candidate, which decides how they have to call it."""

from __future__ import annotations

import ast
import builtins
import functools
from typing import NamedTuple

from autosurgeon.core.task import Task

_BUILTINS = frozenset(dir(builtins))


class Uses(NamedTuple):
    """How a task's tests use the candidate."""

    looks_back: bool
    """They may inspect an argument after the call: it is bound to a name, or the function is passed on."""
    names_candidate: bool
    """They call it `candidate`, so that the entry point's own name can be the reference's function."""


def uses(task: Task) -> Uses:
    """Return how the tests use the candidate; tests that do not parse use nothing."""
    return _uses(task.tests, task.entry_point)


# Needed for every program of a task, and parsing the tests costs more than all other work per program here.
@functools.lru_cache(maxsize=1024)
def _uses(tests: str, entry_point: str | None) -> Uses:
    try:
        module = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Uses(False, "candidate" in tests)
    looks_back = names_candidate = False
    names = {"candidate", entry_point}
    # Pairs of a node and whether it is inside an argument of the candidate.
    todo: list[tuple[ast.AST, bool]] = [(module, False)]
    while todo:
        node, given = todo.pop()
        if isinstance(node, ast.Name):
            names_candidate |= node.id == "candidate"
            if node.id in names:
                looks_back |= isinstance(node.ctx, ast.Load)
            else:
                looks_back |= given and node.id not in _BUILTINS
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = node.func.id
            if called in names:
                names_candidate |= called == "candidate"
                todo += [(each, True) for each in (*node.args, *node.keywords)]
                continue
            handed = node.args[0] if called == "check" and len(node.args) == 1 else None
            if isinstance(handed, ast.Name) and handed.id in names:
                # `check` is defined by the tests themselves, so its body shows how it uses the candidate.
                names_candidate |= handed.id == "candidate"
                todo += [(each, given) for each in node.keywords]
                continue
        for field in node._fields:
            value = getattr(node, field, None)
            if isinstance(value, list):
                todo += [(each, given) for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST):
                todo.append((value, given))
    return Uses(looks_back, names_candidate)
