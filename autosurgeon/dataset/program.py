"""The normal form of a program, without names, comments, docstrings, annotations and layout.

Two programs with the same normal form count as the same program. Constants, operators, the order of statements and the
names that the program does not bind itself (`sum`, `.append`) stay.
"""

from __future__ import annotations

import ast
import copy
import keyword
import re
import textwrap
import warnings
from collections.abc import Mapping

from autosurgeon.core.digest import digest_text
from autosurgeon.dataset.naming import BUILTINS, IMPORTED, Normaliser, bound_names

TOKEN = re.compile(
    r'#[^\n]*|"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|\w+|[^\w\s]',
    re.DOTALL,
)
OWN_NAME = re.compile(r"(?:v|a|k|free)\d+")
"""The names of the normal form for the program's own bindings."""


class Program:
    """The normal form of one piece of untrusted code.

    `key` is the digest of the normal form; None if there is nothing to compare. Code that does not parse is compared by
    its tokens, without comments, and with names numbered by first appearance. `words` are its tokens with all of its
    own names replaced by the same word, so that an additional name does not shift the numbers of others.
    """

    def __init__(self, code: str) -> None:
        self.parses = False
        self.is_body = False
        self.key, self.words = self._of_tree(code) or self._of_tokens(code)

    def _of_tree(self, code: str) -> tuple[str | None, tuple[str, ...]] | None:
        try:
            tree = self._normal_tree(code)
            if tree is None:
                return None
            form, text = ast.dump(tree), ast.unparse(tree)
        except (RecursionError, ValueError):
            return None  # too deep to walk, or a tree that Python cannot unparse
        words = tuple(
            "name" if OWN_NAME.fullmatch(word) else word for word in TOKEN.findall(text.replace(IMPORTED, ""))
        )
        return (digest_text(f"tree:{form!a}") if tree.body else None), words

    def _normal_tree(self, code: str) -> ast.Module | None:
        tree = _parse(code)
        if tree is not None:
            self.parses = True
            _sort_definitions(tree)
            return _normalise(tree, {})
        # The completion of a function's head: a bare body, whose free names may be the arguments.
        tree = _parse("if 1:\n" + textwrap.indent(textwrap.dedent(code), " "))
        if tree is None:
            return None
        self.is_body = True
        return _normalise(tree, {}, number_free=True)

    def _of_tokens(self, code: str) -> tuple[str | None, tuple[str, ...]]:
        names: dict[str, str] = {}
        tokens = [
            names.setdefault(token, f"v{len(names)}") if _is_own(token) else token
            for token in TOKEN.findall(code)
            if not token.startswith("#")
        ]
        words = tuple("name" if word in names.values() else word for word in tokens)
        return (digest_text(f"tokens:{tokens!a}") if tokens else None), words


def _is_own(token: str) -> bool:
    return token.isidentifier() and not keyword.iskeyword(token) and token not in BUILTINS


def _parse(code: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in untrusted code do not matter
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _normalise(tree: ast.Module, others: Mapping[str, str], *, number_free: bool = False) -> ast.Module:
    normal = Normaliser(tree, others, number_free=number_free).visit(tree)
    assert isinstance(normal, ast.Module)
    return normal


def _sort_definitions(tree: ast.Module) -> None:
    """Move the functions and classes of a module to its start, in an order that depends on neither names nor layout."""
    definitions = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    if len(definitions) < 2:
        return
    others = {name: "other" for name, target in bound_names(tree.body).items() if target is None}
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    alone = [
        ast.dump(_normalise(copy.deepcopy(ast.Module([*imports, node], [])), others | {node.name: "itself"}))
        for node in definitions
    ]
    order = sorted(range(len(definitions)), key=alone.__getitem__)
    tree.body = [*(definitions[place] for place in order), *(node for node in tree.body if node not in definitions)]
