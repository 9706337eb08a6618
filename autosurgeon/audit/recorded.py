"""Recorded decisions, read line by line from a workspace's log or from a folder of evidence."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from pydantic import Field, ValidationError

from autosurgeon.core.decision import Decision, Evidence, Phase, Verdict
from autosurgeon.core.strictjson import parse
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import PolicyError, UserError
from autosurgeon.policy.policy_files import Place, read_yaml
from autosurgeon.policy.policy_tests import evidence_of

MAX_LINE_BYTES = 8 << 20
SCHEMA = "autosurgeon.evidence/1"


class Recorded(NamedTuple):
    """The part of a decision that a replay needs."""

    name: str
    """The decision's id; in a folder of evidence the file's name of the pass, and the decision's number in it."""
    at: str
    """UTC, ISO 8601; empty in a folder of evidence."""
    phase: Phase | None
    """None without a judgement, as in a revert by hand or an override."""
    evidence: Evidence
    verdict: Verdict | None
    """The recorded verdict; None for evidence alone."""
    note: str
    """A note for people: why it was not judged, or a comment on the evidence."""


class EvidenceEntry(Value):
    """The facts of one decision, in a file of evidence."""

    phase: Phase
    note: str = ""
    evidence: dict[str, Any] = Field(min_length=1)


class EvidenceFile(Value):
    """The decisions of one pass, in their order."""

    schema_: Literal["autosurgeon.evidence/1"] = Field(alias="schema")
    name: str = Field(min_length=1)
    decisions: tuple[EvidenceEntry, ...] = Field(min_length=1)


class Skipped(NamedTuple):
    """A line of a log without a readable decision."""

    line: int
    why: str
    is_torn: bool
    """Whether it is an incomplete last line: the store has that decision, and the next run writes it."""


class LeftOut:
    """The number of skipped lines of a log, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: Skipped | None = None
        self.is_torn = False
        """Whether the log's last line is incomplete, which is not counted."""

    def add(self, skipped: Skipped) -> None:
        """Count a skipped line."""
        if skipped.is_torn:
            self.is_torn = True
            return
        self.count += 1
        self.first = self.first or skipped


def recorded(path: Path, *, since: str = "", skip: Callable[[Skipped], None]) -> Iterator[Recorded]:
    """Yield the decisions of a workspace, a log or a folder of evidence, oldest first.

    Args:
        path: the workspace, the log, or the folder of evidence.
        since: ISO 8601; yield only decisions of that time or later; evidence without a time is omitted.
        skip: called with each unreadable line of a log.

    Raises:
        UserError: there is nothing to read.

    """
    earliest = moment(since) if since else None
    log = Workspace(path).decisions if path.is_dir() else path
    if log.is_file():
        found = _of_log(log, skip)
    else:
        files = sorted(path.glob("*.yaml")) if path.is_dir() else []
        if not files:
            wanted = "a workspace with logs/decisions.jsonl, or a folder of evidence in *.yaml"
            raise UserError("there are no decisions to replay", wanted=wanted, where=path)
        found = itertools.chain.from_iterable(map(read_evidence_file, files))
    return (one for one in found if earliest is None or (one.at and moment(one.at) >= earliest))


def moment(text: str) -> datetime:
    """Parse a time of ISO 8601, UTC where it names no zone; UserError for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError("this is not a time", got=repr(text), wanted="ISO 8601, such as 2026-05-01") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def read_evidence_file(path: Path) -> list[Recorded]:
    """Read the decisions of a file of evidence; UserError for an invalid file."""
    content, root = read_yaml(path, "a file of evidence")
    try:
        file = EvidenceFile.model_validate(content)
    except ValidationError as error:
        raise _explain(error, root) from error
    return [
        Recorded(
            name=f"{file.name} #{number}",
            at="",
            phase=entry.phase,
            evidence=evidence_of(entry.evidence, root.at(("decisions", number - 1, "evidence"))),
            verdict=None,
            note=entry.note,
        )
        for number, entry in enumerate(file.decisions, start=1)
    ]


def _explain(error: ValidationError, root: Place) -> PolicyError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    return PolicyError(f"{key}: {first['msg']}", wanted=f"a file of {SCHEMA}", where=root.at(first["loc"]))


def recorded_decision(decision: Decision) -> Recorded:
    """Convert a decision for replay; overrides and acts without a judgement are not judged again."""
    judgement = decision.judgement
    if decision.override is not None or decision.action == "override":
        note = f"override of {decision.override.overrules}" if decision.override else "override"
        return Recorded(decision.decision_id, decision.at, None, {}, None, f"{note}: {decision.reason}")
    if judgement is None:
        return Recorded(decision.decision_id, decision.at, None, {}, None, f"{decision.action}: {decision.reason}")
    return Recorded(decision.decision_id, decision.at, judgement.phase, judgement.evidence, judgement.verdict, "")


def _of_log(path: Path, skip: Callable[[Skipped], None]) -> Iterator[Recorded]:
    """Read one line at a time, so that memory is bounded by the longest line."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
                try:
                    if len(raw) > MAX_LINE_BYTES:
                        _finish_line(file, raw)
                        skip(Skipped(number, f"longer than {MAX_LINE_BYTES} bytes", is_torn=False))
                    elif raw.strip():
                        decision = Decision.model_validate_json(raw)
                        if flaws := _flaws(raw):
                            skip(Skipped(number, f"no decision: {flaws}", is_torn=False))
                        else:
                            yield recorded_decision(decision)
                except ValidationError as error:
                    skip(Skipped(number, _what(error), is_torn=not raw.endswith(b"\n")))
    except OSError as error:
        raise UserError("the decision log cannot be read", got=error.strerror, where=path) from error


def _flaws(raw: bytes) -> str:
    """Name the flaws of a line that the JSON parser accepts and the log never contains."""
    parsed = parse(raw)
    return ", ".join([*(f"{name!r} occurs twice" for name in parsed.twice), *(f"{word}" for word in parsed.constants)])


def _finish_line(file: BinaryIO, raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(1 << 16)


def _what(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return "no JSON" if first["type"] == "json_invalid" else f"no decision: {place}: {first['msg']}"
