"""Which ways of meeting a candidate a task needs."""

from __future__ import annotations

import ast
import builtins
import functools
from typing import NamedTuple

from autosurgeon.core.task import Task

_BUILTINS = frozenset(dir(builtins))


class Uses(NamedTuple):
    """What a task's tests do with the candidate."""

    looks_back: bool
    """They might look at an argument after the call: it has a name there, or the function is passed on."""
    says_candidate: bool
    """They call it `candidate`, so the entry point's own name is free for the reference's function."""


def uses(task: Task) -> Uses:
    """How the tests use it; tests that are no Python do nothing with it."""
    return _uses(task.tests, task.entry_point)


# Asked for every program of a task; to parse the tests takes longer than all else that is done for one in this process.
@functools.lru_cache(maxsize=1024)
def _uses(tests: str, entry_point: str | None) -> Uses:
    try:
        module = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Uses(False, "candidate" in tests)
    looks_back = says_candidate = False
    names = {"candidate", entry_point}
    # Each node with whether it belongs to an argument of the candidate's.
    todo: list[tuple[ast.AST, bool]] = [(module, False)]
    while todo:
        node, given = todo.pop()
        if isinstance(node, ast.Name):
            says_candidate |= node.id == "candidate"
            if node.id in names:
                looks_back |= isinstance(node.ctx, ast.Load)
            else:
                looks_back |= given and node.id not in _BUILTINS
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = node.func.id
            if called in names:
                says_candidate |= called == "candidate"
                todo += [(each, True) for each in (*node.args, *node.keywords)]
                continue
            handed = node.args[0] if called == "check" and len(node.args) == 1 else None
            if isinstance(handed, ast.Name) and handed.id in names:
                # To the function that the tests are: what that does with it is looked at there.
                says_candidate |= handed.id == "candidate"
                todo += [(each, given) for each in node.keywords]
                continue
        for field in node._fields:
            value = getattr(node, field, None)
            if isinstance(value, list):
                todo += [(each, given) for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST):
                todo.append((value, given))
    return Uses(looks_back, says_candidate)
