"""Which part of an answer is run: a model may go on behind it."""

from __future__ import annotations

import ast
import re
import warnings

from autosurgeon.core.answers import cut, ending
from autosurgeon.core.task import Task

MAX_TRIALS = 50
"""Lines at which the end of a program is looked for."""
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def runnable(task: Task, text: str) -> str:
    """Return the part of an answer that is run: a program without the prose behind it; a function as it is."""
    if task.kind == "function":
        return text
    kept = whole_program(task.prelude + cut(text, *ending(task)))
    return kept[len(task.prelude) :]


def cut_sample(task: Task, text: str) -> str:
    """Return the part of another program's completion that a run of this product generates; a reference is whole."""
    return text if text == task.reference else cut(text, *ending(task))


def whole_program(text: str) -> str:
    """Return a program up to the first line that is no Python, if a statement precedes it; otherwise the text."""
    lines = _LINE.findall(text)
    for _ in range(MAX_TRIALS):
        kept = "".join(lines)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return kept if ast.parse(kept).body else text
        except SyntaxError as error:
            # The line of the error need not be the one that begins the faulty statement, so the search goes on above.
            del lines[min(max((error.lineno or 1) - 1, 0), len(lines) - 1) :]
        except (ValueError, RecursionError, MemoryError):
            break
    return text
