"""Parse untrusted Python text without running it."""

from __future__ import annotations

import ast
import warnings
from typing import Any, Literal, overload

_REFUSED = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)


@overload
def parse(source: str) -> ast.Module | None: ...
@overload
def parse(source: str, mode: Literal["eval"]) -> ast.Expression | None: ...
def parse(source: str, mode: str = "exec") -> Any:
    """Return the syntax tree, or None for text that is not Python; warnings of the parser are ignored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source, mode=mode)
        except _REFUSED:
            return None


def literal_of(source: str) -> tuple[bool, object]:
    """Whether this is a Python literal, and its value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return True, ast.literal_eval(source)
        except _REFUSED:
            return False, None


def functions_of(module: ast.Module) -> list[str]:
    """The names of the functions that a module defines at its top, in order, lambdas with a name among them."""
    names = []
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names


def names_read(tree: ast.AST) -> set[str]:
    """Every name that is looked up anywhere in the tree."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def names_bound(tree: ast.AST) -> set[str]:
    """Every name that is given a value anywhere in the tree: assigned, defined, imported, or an argument."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names


def docstring(text: str) -> str:
    """The text between triple quotes, on lines of its own; a prompt to be read, not run."""
    quotes = "'''" if '"""' in text else '"""'
    return f"{quotes}\n{text}\n{quotes}\n"
