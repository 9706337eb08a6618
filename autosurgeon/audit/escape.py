"""Strangers' text on a page: escaped for Markdown, and without a character that moves a cursor or hides another.

HTML is escaped by the template engine; Markdown has no engine that does, so here everything is escaped that was not
made by one of these functions: a page is safe by default, and `Markdown` marks what is finished.
"""

from __future__ import annotations

import re

SPECIAL = re.compile(r"([\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_]))")
"""What marks something up; an underscore within a word marks nothing, and names are full of them."""
LINE_HEAD = re.compile(r"^(\d*)([-+=.)#])(?=[\s#=]|$)")
"""What would begin a list or a heading; a number alone does not."""


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def printable(text: str) -> str:
    """The text with every control and format character but the line's end and the tab written out.

    So a program cannot move the reader's cursor, and a bidirectional override cannot show other code than it holds.
    """
    kept = (char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
    return "".join(kept)


def escaped(value: object) -> Markdown:
    """Any value as prose on one line, with no character that Markdown or HTML would read."""
    if isinstance(value, Markdown):
        return value
    text = " ".join(printable(str(value)).split())
    text = SPECIAL.sub(r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Markdown(LINE_HEAD.sub(r"\1\\\2", text))


def code(value: object) -> Markdown:
    """A code span; where the text holds backticks, its fence is longer than any run of them."""
    text = " ".join(printable(str(value)).split())
    fence = "`" * (1 + _longest_run(text))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    # A table's cell ends at a bar even within a code span.
    return Markdown(f"{fence}{pad}{text or ' '}{pad}{fence}".replace("|", r"\|"))


def fenced(text: str, language: str = "") -> Markdown:
    """A code block whose fence is longer than any run of backticks in it."""
    text = printable(text).rstrip("\n")
    fence = "`" * max(3, 1 + _longest_run(text))
    return Markdown(f"{fence}{language}\n{text}\n{fence}")


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
