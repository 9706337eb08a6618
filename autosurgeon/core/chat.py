"""Chat with an instruct model: the question of a task, the answer as a code block, and the code in an answer.

docs/own_model.md documents the questions. The capsule renders them by the checkpoint's own chat template.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from autosurgeon.core.task import Task
from autosurgeon.core.value import Value

FORM = 1
"""The version of questions and answers, part of the fingerprint: raised when the same task may be asked otherwise."""
FENCE = "```"
PYTHON = frozenset({"python", "python3", "py", "py3", "ipython"})
"""Language tags of Python; a block without a tag may be Python too."""

_OPENING = re.compile(r"(?P<before>[^`]*?)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`]*)")
_START = re.compile(r"^(?:from|import|def|async def|class|@)", re.MULTILINE)


class Chat(Value):
    """An instruct model is asked by its chat template, with a system message unless it is empty."""

    system: str = ""


class Block(NamedTuple):
    """A fenced block of an answer."""

    tag: str
    code: str
    end: int | None
    """Where the text behind the line of the closing fence begins; None before that line has ended."""


def question(task: Task) -> str:
    """Return the user's message for a task."""
    if _is_head(task):
        asked = "Complete this Python function. Answer with the whole function, and what it imports, in one code block."
        return f"{asked}\n\n{_fenced(task.prompt)}"
    text = task.prompt.strip()
    if len(text) > 6 and text.startswith('"""') and text.endswith('"""'):
        text = text[3:-3].strip()
    if task.kind == "function":
        name = f" Name it `{task.entry_point}`." if task.entry_point else ""
        return f"Write a Python function for this task.{name} Answer with it in one code block.\n\n{text}"
    asked = "Write a Python program that reads standard input and writes standard output, and solves this task."
    return f"{asked} Answer with the whole program in one code block.\n\n{text}"


def answer(task: Task) -> str:
    """Return the assistant's message that a model learns for a task, which has a reference."""
    return _fenced(task.prelude + (task.reference or ""))


def code_of(task: Task, text: str) -> str:
    """Return the code in an answer as a completion of the task, which is run behind its prelude.

    The block is the first that defines the task's function, else the first of Python, else the longest without a tag.
    An answer without a block is code from its first line that begins a definition, or as a whole.
    """
    name = block_name(task)
    blocks = blocks_of(text)
    python = [block for block in blocks if block.tag in PYTHON]
    plain = sorted((block for block in blocks if not block.tag), key=lambda block: -len(block.code))
    fitting = [block for block in blocks if _fits(block, name)]
    chosen = next(iter([*fitting, *python, *plain, *blocks]), None)
    code = chosen.code if chosen is not None else _without_prose(text, name)
    if not (_is_head(task) and _defines(code, name)):
        return code
    # The function is defined again behind its head, whose imports and helpers stay.
    return f"{_body_of_head(task.prelude)}\n\n{code}"


def block_name(task: Task) -> str:
    """Return the name that the block of an answer defines; empty for a program."""
    return (task.entry_point or "").partition(".")[0] if task.kind == "function" else ""


def end_block(text: str, name: str) -> str:
    """Return an answer up to the end of the block that `code_of` takes, so that what follows need not be generated."""
    return next((text[: block.end] for block in blocks_of(text) if block.end is not None and _fits(block, name)), text)


def blocks_of(text: str) -> list[Block]:
    """Return the fenced blocks of a text in order; the last may lack its closing fence."""
    found: list[Block] = []
    opened: re.Match[str] | None = None
    lines: list[str] = []
    place = 0
    for line in text.split("\n"):
        place += len(line) + 1
        if opened is None:
            opened, lines = _OPENING.fullmatch(line.rstrip("\r")), []
        elif _closes(line, opened["fence"]):
            found.append(_block(opened, lines, place if place <= len(text) else None))
            opened = None
        else:
            lines.append(line)
    if opened is not None:
        # A last line may hold the closing fence behind the code, or one shorter than the opening one.
        last = re.sub(re.escape(opened["fence"][:3]) + r"+\s*$", "", "\n".join(lines))
        found.append(_block(opened, last.split("\n"), None))
    return found


def _block(opened: re.Match[str], lines: list[str], end: int | None) -> Block:
    before = opened["before"]
    indent = len(before) if not before.strip() else 0
    inside = [line[min(indent, len(line) - len(line.lstrip(" "))) :] for line in lines]
    tag = next(iter(opened["info"].split()), "").strip("{.}").lower()
    code = "\n".join(inside).strip("\n")
    return Block(tag, f"{code}\n" if code else "", end)


def _closes(line: str, fence: str) -> bool:
    found = line.strip()
    return len(found) >= len(fence) and set(found) == {fence[0]}


def _fits(block: Block, name: str) -> bool:
    """Whether a block is the answer, whatever follows it."""
    return _defines(block.code, name) if name else block.tag in PYTHON


def _defines(code: str, name: str) -> bool:
    pattern = rf"^(?:(?:async )?def|class) {re.escape(name)}\b|^{re.escape(name)}\s*="
    return bool(name) and re.search(pattern, code, re.MULTILINE) is not None


def _without_prose(text: str, name: str) -> str:
    start = _START.search(text) if _defines(text, name) else None
    return text[start.start() :] if start is not None else text


def _is_head(task: Task) -> bool:
    return task.kind == "function" and bool(task.prelude) and task.prompt.endswith(task.prelude)


def _body_of_head(prelude: str) -> str:
    """Return what makes a head a whole function: nothing behind a docstring."""
    try:
        ast.parse(prelude)
    except SyntaxError:
        last = prelude.rstrip().rsplit("\n", 1)[-1]
        indent = last[: len(last) - len(last.lstrip())]
        return f"{indent}    pass\n"
    return ""


def _fenced(code: str) -> str:
    return f"{FENCE}python\n{code.strip(chr(10))}\n{FENCE}"
