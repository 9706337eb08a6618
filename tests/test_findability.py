"""The page that states where each behaviour is decided names files and names that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "where.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| `([\w/]+\.py)` \| `(\w+)` \|$", PAGE, re.MULTILINE)


def test_thirty_behaviours_are_listed() -> None:
    assert len(ROWS) >= 30


@pytest.mark.parametrize(("behaviour", "file", "name"), ROWS)
def test_a_behaviour_is_where_the_page_states_it(behaviour: str, file: str, name: str) -> None:
    tree = ast.parse((ROOT / "autosurgeon" / file).read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        defined |= {target.id for target in targets if isinstance(target, ast.Name)}
    assert name in defined, behaviour
