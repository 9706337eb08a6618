"""Which ways of meeting a candidate a task needs."""

from __future__ import annotations

import ast
import builtins
import functools

from autosurgeon.core.task import Task

_BUILTINS = frozenset(dir(builtins))


def looks_back(task: Task) -> bool:
    """Whether the tests might look at an argument after the call: it has a name there, or the function is passed on."""
    return bool(task.tests) and _look_back(task.tests, task.entry_point)


# Asked for every program of a task; to parse the tests takes longer than all else that is done for one in this process.
@functools.lru_cache(maxsize=1024)
def _look_back(tests: str, entry_point: str | None) -> bool:
    try:
        module = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    names = {"candidate", entry_point}
    called = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in names:
                called.add(id(node.func))
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                inner = {n.id for one in given for n in ast.walk(one) if isinstance(n, ast.Name)}
                if inner - names - _BUILTINS:
                    return True
            elif node.func.id == "check" and len(node.args) == 1:
                called.add(id(node.args[0]))
    return any(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names and id(node) not in called
        for node in ast.walk(module)
    )
