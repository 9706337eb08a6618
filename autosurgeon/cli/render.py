"""Output of tables (tab-separated without a terminal), JSON, CSV and prose."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autosurgeon.cli.streams import takes_any_character

if TYPE_CHECKING:
    from autosurgeon.core.decision import RuleResult

RULE_COLUMNS = ("rule", "result", "fact", "observed", "bound", "margin", "otherwise", "mode", "severity", "lesson")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
COLOURS = {
    "ACCEPT": "green",
    "CONFIRMED": "green",
    "passed": "green",
    "REJECT": "red",
    "REJECTED": "red",
    "REVERTED": "red",
    "failed": "red",
    "FAILED": "magenta",
    "SUPERSEDED": "magenta",
    "lost": "red",
    "gained": "green",
    "INCONCLUSIVE": "yellow",
    "HELD": "yellow",
    "missing": "yellow",
}


def json_text(value: Any, indent: int | None = 1) -> str:
    """Return JSON that standard output's encoding can represent."""
    return json.dumps(value, indent=indent, ensure_ascii=not takes_any_character())


def print_json(value: Any) -> None:
    """Print a JSON document."""
    print(json_text(value))


def coloured(word: str) -> str:
    """Return a state, verdict or result in its colour, as Rich markup."""
    colour = COLOURS.get(word)
    return f"[{colour}]{word}[/{colour}]" if colour else word


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; without a terminal, tab-separated lines."""
    console = Console()
    if not console.is_terminal:
        print("\t".join(columns))
        for row in rows:
            print("\t".join("" if cell is None else str(cell) for cell in row))
        return
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text instead of markup: a cell may hold untrusted brackets and colons.
        table.add_row(*(Text(str(cell), COLOURS.get(str(cell), "")) if cell is not None else "" for cell in row))
    console.print(table)


def rule_cells(rule: RuleResult) -> tuple[object, ...]:
    """Return the cells of a rule's result under RULE_COLUMNS."""
    margin = "" if rule.margin is None else f"{rule.margin:.3g}"
    demand = (rule.fact, rule.seen, rule.bound, margin, rule.otherwise)
    return (rule.rule_id, rule.result, *demand, rule.mode, rule.severity, rule.lesson)


def print_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print CSV by RFC 4180; a cell that a spreadsheet would read as a formula is quoted as text."""
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    for row in rows:
        cells = ["" if cell is None else str(cell) for cell in row]
        writer.writerow([f"'{cell}" if cell[:1] in FORMULA_STARTS else cell for cell in cells])


def say(text: str) -> None:
    """Print a line of prose."""
    Console(highlight=False, emoji=False).print(text, markup=False, soft_wrap=True)


def one_line(text: str) -> str:
    """Escape control characters of untrusted text, so that it stays on one line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
