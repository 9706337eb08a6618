"""Normalisation of a syntax tree: removes names, docstrings, annotations and the form of imports."""

from __future__ import annotations

import ast
import builtins
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
BUILTINS = frozenset(dir(builtins))
IMPORTED = "import "
"""The prefix of an imported name; no identifier contains a blank."""


def bound_names(nodes: Iterable[ast.AST], arguments: Iterable[str] = ()) -> dict[str, str | None]:
    """Return the names that code binds in its own scope, without nested ones; imports with the imported name."""
    plain, imported, outer = set(arguments), dict[str, str](), set[str]()
    todo = [(node, False) for node in nodes]
    while todo:
        node, in_comprehension = todo.pop()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                plain.add(node.name)
                continue
            case ast.Lambda():
                continue
            case ast.Import(names=names):
                imported |= {a.asname: a.name for a in names if a.asname}
                imported |= {(top := a.name.split(".")[0]): top for a in names if not a.asname}
            case ast.ImportFrom(module=module, names=names, level=level):
                imported |= {a.asname or a.name: f"{'.' * level}{module or ''}.{a.name}" for a in names}
            case ast.Global(names=declared) | ast.Nonlocal(names=declared):
                outer |= set(declared)
            case ast.NamedExpr(target=ast.Name(id=name)):
                plain.add(name)  # also from inside a comprehension
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) if not in_comprehension:
                plain.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                plain.add(name)
            case ast.MatchMapping(rest=str(name)):
                plain.add(name)
        inside = in_comprehension or isinstance(node, Comprehension)
        todo += [(child, inside) for child in ast.iter_child_nodes(node)]
    return {name: target for name, target in {**imported, **dict.fromkeys(plain)}.items() if name not in outer}


@dataclass
class _Scope:
    """The names that code binds, and the new names of the bindings seen so far."""

    bound: dict[str, str | None]
    parent: _Scope | None = None
    is_class: bool = False
    given: dict[str, str] = field(default_factory=dict)


class Normaliser(ast.NodeTransformer):
    """Rewrites a module in place, and numbers its bindings by first appearance.

    A number belongs to a binding and not to a name: the `x` of two comprehensions are two bindings, so that renaming
    one of them changes nothing. A name that the module does not bind stays.

    Args:
        tree: the module.
        others: replacements for names.
        number_free: whether unbound names other than builtins are numbered too.

    """

    def __init__(self, tree: ast.Module, others: Mapping[str, str], *, number_free: bool = False) -> None:
        self._others = others
        self._number_free = number_free
        self._count = itertools.count()
        self._attributes: dict[str, str] = {}
        self._free: dict[str, str] = {}
        self._own: set[str] = set()
        bound: dict[str, str | None] = bound_names(tree.body)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                self._own.add(node.attr)
            elif isinstance(node, ast.ClassDef):
                self._own |= bound_names(node.body).keys()
            elif isinstance(node, ast.Global):
                bound = dict.fromkeys(node.names) | bound
        self._scope = _Scope({name: target for name, target in bound.items() if name not in others})

    # --- names --------------------------------------------------------------------------------------------------

    def _named(self, name: str) -> str:
        scope: _Scope | None = self._scope
        while scope is not None:
            if name in scope.bound and (scope is self._scope or not scope.is_class):
                return self._bound(scope, name)
            scope = scope.parent
        if name in self._others:
            return self._others[name]
        if self._number_free and name not in BUILTINS:
            return self._free.setdefault(name, f"free{len(self._free)}")
        return name

    def _is_own(self, name: str) -> bool:
        """Whether a name gets a number, which it may be equal to, and is no import."""
        scope: _Scope | None = self._scope
        while scope is not None and not (name in scope.bound and (scope is self._scope or not scope.is_class)):
            scope = scope.parent
        if scope is not None:
            return scope.bound[name] is None
        return name in self._others or (self._number_free and name not in BUILTINS)

    def _bound(self, scope: _Scope, name: str) -> str:
        target = scope.bound[name]
        if target is not None:
            return IMPORTED + target
        if scope.is_class:
            return self._attribute(name)
        if name not in scope.given:
            scope.given[name] = f"v{next(self._count)}"
        return scope.given[name]

    def _attribute(self, name: str) -> str:
        """Return the number of an attribute that the program itself defines; `.append` and `__init__` stay."""
        if name not in self._own or name.startswith("__"):
            return name
        return self._attributes.setdefault(name, f"a{len(self._attributes)}")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Replace a name by its number."""
        node.id = self._named(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Replace an attribute; `math.gcd` becomes the same as after `from math import gcd`."""
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id.startswith(IMPORTED):
            return ast.Name(f"{node.value.id}.{node.attr}", node.ctx)
        node.attr = self._attribute(node.attr)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Number the keywords of calls of the program's own functions, because they are names of arguments."""
        func, own = node.func, False
        if isinstance(func, ast.Name):
            own = self._is_own(func.id)
        elif isinstance(func, ast.Attribute):
            own = func.attr in self._own
        for place, keyword in enumerate(node.keywords if own else ()):
            keyword.arg = keyword.arg and f"k{place}"
        return self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """Replace the name in `except ... as name`."""
        node.name = node.name and self._named(node.name)
        return self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> ast.AST:
        """Replace the name in `case ... as name`."""
        node.name = node.name and self._named(node.name)
        return self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        """Replace the name in `case [*name]`."""
        node.name = node.name and self._named(node.name)
        return node

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        """Replace the name in `case {**name}`."""
        node.rest = node.rest and self._named(node.rest)
        return self.generic_visit(node)

    # --- scopes -------------------------------------------------------------------------------------------------

    def _visit_all(self, nodes: Iterable[ast.AST]) -> list[Any]:
        """Return the visited nodes without removed ones."""
        return [node for node in map(self.visit, nodes) if node is not None]

    def _enter(self, bound: dict[str, str | None], *, is_class: bool = False) -> None:
        self._scope = _Scope(bound, self._scope, is_class)

    def _leave(self) -> None:
        assert self._scope.parent is not None
        self._scope = self._scope.parent

    def _visit_function(self, node: Function | ast.Lambda, body: list[Any]) -> list[Any]:
        """Visit defaults in the scope around a function, arguments and body in its own, and return the new body."""
        args = node.args
        args.defaults = self._visit_all(args.defaults)
        args.kw_defaults = [default and self.visit(default) for default in args.kw_defaults]
        every = [*args.posonlyargs, *args.args, *args.kwonlyargs, *(a for a in (args.vararg, args.kwarg) if a)]
        self._enter(bound_names(body, [arg.arg for arg in every]))
        for arg in every:
            arg.arg, arg.annotation = self._named(arg.arg), None
        visited = self._visit_all(body)
        self._leave()
        return visited

    def visit_FunctionDef(self, node: Function) -> ast.AST:
        """Normalise a function and remove its annotations."""
        node.name = self._named(node.name)
        node.decorator_list = self._visit_all(node.decorator_list)
        node.returns = None
        if hasattr(node, "type_params"):  # Python 3.12 and later
            node.type_params = []
        node.body = self._visit_function(node, node.body)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """Normalise a lambda."""
        [node.body] = self._visit_function(node, [node.body])
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Normalise a class; the bindings of its body are attributes."""
        node.name = self._named(node.name)
        for nodes in (node.bases, node.keywords, node.decorator_list):
            nodes[:] = self._visit_all(nodes)
        self._enter(bound_names(node.body), is_class=True)
        node.body = self._visit_all(node.body)
        self._leave()
        return node

    def visit_ListComp(self, node: Comprehension) -> ast.AST:
        """Normalise a comprehension; its first iterable belongs to the scope around it."""
        first = node.generators[0]
        source, first.iter = self.visit(first.iter), ast.Constant(None)
        self._enter(bound_names(generator.target for generator in node.generators))
        self.generic_visit(node)
        self._leave()
        first.iter = source
        return node

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    # --- removed nodes ------------------------------------------------------------------------------------------

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """Remove the annotation of an assignment; without a value it is kept only in a class, as a field."""
        if node.value is not None:
            plain = ast.Assign(targets=[node.target], value=node.value)
            return self.generic_visit(ast.copy_location(plain, node))
        return self.generic_visit(ast.Expr(node.target)) if self._scope.is_class else None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Remove a docstring or an ellipsis."""
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Import(self, node: ast.AST) -> None:
        """Remove an import: the names that it binds contain their origin, and the order of imports does not matter."""

    visit_ImportFrom = visit_Global = visit_Nonlocal = visit_Pass = visit_Import
