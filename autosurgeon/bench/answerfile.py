"""Answer files: samples that `bench grade` can read, each with its source and its settings of generation."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from autosurgeon.bench.formats.json_rows import Row, read_rows, shown
from autosurgeon.bench.formats.samples import MAX_SAMPLE_BYTES
from autosurgeon.core.answers import Answers, Reply
from autosurgeon.errors import UserError


class Asked(NamedTuple):
    """The question that a file of answers belongs to, so that it is not taken for another."""

    mode: str
    source: str
    """The model that answers, and how it is asked."""
    samples: int
    """Samples per task."""


def write_answers(path: Path, asked: Asked, answers: Answers) -> None:
    """Write one line for each answer, in the order of the replies; the file is whole or absent."""
    origin = {"mode": asked.mode, "source": asked.source, "fingerprint": answers.fingerprint}
    staged = path.with_name(path.name + ".part")
    try:
        with staged.open("wb") as file:
            for task_id, replies in answers.replies.items():
                for reply in replies:
                    row = {"task_id": task_id, "completion": reply.text, **origin, **reply.model_dump(exclude={"text"})}
                    raw = json.dumps(row).encode("ascii") + b"\n"
                    if len(raw) > MAX_SAMPLE_BYTES:
                        wanted = f"at most {MAX_SAMPLE_BYTES}"
                        raise UserError("an answer is too large", got=f"{len(raw)} bytes", wanted=wanted, where=task_id)
                    file.write(raw)
        os.replace(staged, path)
    except OSError as error:
        raise UserError("answers cannot be written", got=error, where=path) from error
    finally:
        staged.unlink(missing_ok=True)


def read_answers(path: Path, asked: Asked, task_ids: Iterable[str]) -> Answers:
    """Return the answers of an earlier run, in their order; a task without an answer is left out.

    UserError for answers to something else, and for a task with another number of samples.
    """
    known = frozenset(task_ids)
    replies: dict[str, list[Reply]] = {}
    fingerprint = ""
    for row in read_rows(path, most=MAX_SAMPLE_BYTES):
        task_id = row.text("task_id")
        if (row.text("mode", ""), row.text("source", "")) != asked[:2] or task_id not in known:
            raise _other(path, f"{row.text('mode', 'none')} of {row.text('source', 'no source')}, {task_id}")
        fingerprint = row.text("fingerprint")
        replies.setdefault(task_id, []).append(_reply(row))
    short = next((task_id for task_id, found in replies.items() if len(found) != asked.samples), None)
    if not replies:
        raise _other(path, "no answer")
    if short is not None:
        raise _other(path, f"{len(replies[short])} answers to {short}, wanted {asked.samples}")
    return Answers(replies, fingerprint)


def _reply(row: Row) -> Reply:
    fields = {name: row.content[name] for name in _reply_fields() if name in row.content}
    try:
        return Reply.model_validate({"text": row.text("completion"), **fields})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise row.misfit(".".join(map(str, first["loc"])), shown(first["input"]), first["msg"]) from error


def _reply_fields() -> Iterator[str]:
    return (name for name in Reply.model_fields if name != "text")


def _other(path: Path, got: str) -> UserError:
    return UserError(
        "these answers are to something else; name another --out, or delete them with their results",
        got=got,
        where=path,
    )
