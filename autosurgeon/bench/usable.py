"""Decide by an answer's text alone whether it is usable or a fallback has to answer.

Neither tests nor a reference are used, since a dispatcher in production has neither.
"""

from __future__ import annotations

import ast

from autosurgeon.bench.formats.syntax import parse
from autosurgeon.bench.runnable import runnable
from autosurgeon.core.task import Task


def is_usable(task: Task, text: str) -> bool:
    """Return whether an answer is not empty, parses after the task's prelude, and binds the entry point's name."""
    if not text.strip():
        return False
    module = parse(task.prelude + runnable(task, text))
    if module is None:
        return False
    if task.kind == "stdin" or task.entry_point is None:
        return True
    return task.entry_point.partition(".")[0] in _bound_at_top(module)


def _bound_at_top(module: ast.Module) -> set[str]:
    """Return the names that a module binds outside its functions and classes."""
    names: set[str] = set()
    todo: list[ast.AST] = [module]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif not isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            todo += ast.iter_child_nodes(node)
    return names
