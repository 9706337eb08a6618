"""Escaping of untrusted text for Markdown, without characters that move the cursor or hide others.

The template engine escapes HTML. No engine escapes Markdown, so these functions escape every value that is not marked
as finished by the type `Markdown`: a page is safe by default.
"""

from __future__ import annotations

import re

SPECIAL = re.compile(r"([\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_]))")
"""Characters of markup; an underscore within a word is not markup, and names contain many."""
LINE_HEAD = re.compile(r"^(\d*)([-+=.)#])(?=[\s#=]|$)")
"""The start of a list or a heading; a number alone is neither."""


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def printable(text: str) -> str:
    """Write out every control and format character except line ends and tabs.

    A program can then not move the reader's cursor, and a bidirectional override cannot disguise code.
    """
    kept = (char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
    return "".join(kept)


def escaped(value: object) -> Markdown:
    """Escape any value as prose on one line for Markdown and HTML."""
    if isinstance(value, Markdown):
        return value
    text = " ".join(printable(str(value)).split())
    text = SPECIAL.sub(r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Markdown(LINE_HEAD.sub(r"\1\\\2", text))


def code(value: object) -> Markdown:
    """Return a code span; its fence is longer than any run of backticks in the text."""
    text = " ".join(printable(str(value)).split())
    fence = "`" * (1 + _longest_run(text))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    # A bar ends a table cell even within a code span.
    return Markdown(f"{fence}{pad}{text or ' '}{pad}{fence}".replace("|", r"\|"))


def fenced(text: str, language: str = "") -> Markdown:
    """Return a code block whose fence is longer than any run of backticks in the text."""
    text = printable(text).rstrip("\n")
    fence = "`" * max(3, 1 + _longest_run(text))
    return Markdown(f"{fence}{language}\n{text}\n{fence}")


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
