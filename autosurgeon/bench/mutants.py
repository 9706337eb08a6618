"""Mutants: wrong programs made from references, which tests have to refuse."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from autosurgeon.core.task import Task

MOST = 4
"""Mutants by a changed operator or constant, per task."""
_BODIES = {
    "returns None": "None",
    "returns 0": "0",
    "returns True": "True",
    "returns an empty list": "[]",
    "returns its first argument": "{first}",
}
_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def mutants_of(task: Task) -> dict[str, str]:
    """Whole programs by what was done to them; some by operator may mean the same as the reference."""
    source = task.prelude + (task.reference or "")
    try:
        module = ast.parse(source)
    except SyntaxError:
        return {}
    mutants = {} if task.kind == "stdin" else dict(_bodies(module, task.entry_point or ""))
    if task.kind == "stdin":
        mutants = {"prints nothing": "pass\n", "prints 0": "print(0)\n"}
    places = list(_places(module))
    # Spread over the program, from its end on: what is near the answer is least likely to be dead.
    for index in places[:: -max(1, len(places) // MOST)][:MOST]:
        changed = copy.deepcopy(module)
        name = _change(list(ast.walk(changed))[index])
        mutants[f"{name} in line {getattr(list(ast.walk(module))[index], 'lineno', '?')}"] = ast.unparse(changed) + "\n"
    return {name: text for name, text in mutants.items() if text != ast.unparse(module) + "\n"}


def under_contract(task: Task) -> str:
    """The reference as a whole program, whose arguments have to satisfy the task's contract, if it has one."""
    source = task.prelude + (task.reference or "")
    name = task.entry_point or ""
    if not task.contract or not name.isidentifier():
        return source
    return (
        f"{source}\n"
        f"def _under_contract(inner, contract):\n"
        f"    import inspect\n"
        f"    signature = inspect.signature(inner)\n"
        f"    def outer(*given):\n"
        f"        exec(contract, globals(), dict(signature.bind(*given).arguments))\n"
        f"        return inner(*given)\n"
        f"    return outer\n"
        f"{name} = _under_contract({name}, {task.contract!r})\n"
    )


def _bodies(module: ast.Module, entry_point: str) -> Iterator[tuple[str, str]]:
    """The program with another body of its function."""
    for name, body in _BODIES.items():
        changed = copy.deepcopy(module)
        for node in ast.walk(changed):
            if isinstance(node, ast.FunctionDef) and node.name == entry_point.rpartition(".")[2]:
                given = [argument.arg for argument in node.args.args if argument.arg != "self"]
                if given or "{first}" not in body:
                    value = ast.parse(body.format(first=given[0] if given else None), mode="eval").body
                    node.body = [ast.Return(value)]
                    yield name, ast.unparse(ast.fix_missing_locations(changed)) + "\n"


def _places(module: ast.Module) -> Iterator[int]:
    """Where there is something to change, as indices into the walk over the tree."""
    for index, node in enumerate(ast.walk(module)):
        operator: ast.AST | None = node.op if isinstance(node, ast.BinOp | ast.BoolOp) else None
        operator = node.ops[0] if isinstance(node, ast.Compare) else operator
        if type(operator) in _SWAPS or (isinstance(node, ast.Constant) and type(node.value) is int):
            yield index


def _change(node: ast.AST) -> str:
    """Make one change and return its description."""
    if isinstance(node, ast.Constant):
        old, node.value = node.value, node.value + 1  # type: ignore[operator]
        return f"{old!r} became {node.value!r}"
    holder: list[ast.AST] = node.ops if isinstance(node, ast.Compare) else [node.op]  # type: ignore[assignment, attr-defined]
    old_kind = type(holder[0])
    new = _SWAPS[old_kind]()
    if isinstance(node, ast.Compare):
        node.ops[0] = new  # type: ignore[call-overload]
    else:
        node.op = new  # type: ignore[attr-defined]
    return f"{old_kind.__name__} became {type(new).__name__}"
