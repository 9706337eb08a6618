"""Where recorded decisions come from: logs of any kind, whole and damaged, and folders of evidence."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import make_decision, write_log

from autosurgeon.audit import recorded as module
from autosurgeon.audit.recorded import Recorded, Skipped, recorded
from autosurgeon.core.decision import Verdict
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError

DECISIONS = [
    make_decision("d-1", evidence={"training.loss": 0.5}, at="2030-01-01T12:00:00+00:00"),
    make_decision("d-2", evidence={"training.loss": 0.05}, at="2030-01-02T12:00:00+00:00"),
    make_decision("d-3", at="2030-01-03T12:00:00+00:00"),
]
HEAD = "schema: autosurgeon.evidence/1\nname: mine\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = Workspace(tmp_path).decisions
    write_log(path, DECISIONS)
    return path


def read(path: Path, since: str = "") -> tuple[list[Recorded], list[Skipped]]:
    skipped: list[Skipped] = []
    return list(recorded(path, since=since, skip=skipped.append)), skipped


def test_a_workspace_and_its_log_give_the_same_decisions(tmp_path: Path, log: Path) -> None:
    found, skipped = read(tmp_path)
    assert (found, skipped) == read(log)
    assert [(one.name, one.phase, one.verdict) for one in found] == [
        ("d-1", "training", Verdict.ACCEPT),
        ("d-2", "training", Verdict.REJECT),
        ("d-3", None, None),
    ]
    assert skipped == []


@pytest.mark.parametrize(
    ("since", "names"),
    [("2030-01-02", ["d-2", "d-3"]), ("2030-01-02T13:00+01:00", ["d-2", "d-3"]), ("2031-01-01", [])],
)
def test_since_leaves_out_what_was_before(log: Path, since: str, names: list[str]) -> None:
    assert [one.name for one in read(log, since)[0]] == names


def test_a_last_line_that_was_cut_short_is_skipped_as_such(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-9])
    found, skipped = read(log)
    assert [one.name for one in found] == ["d-1", "d-2"]
    assert [(one.line, one.is_torn) for one in skipped] == [(3, True)]


@pytest.mark.parametrize(
    "line", [b"{", b"\xff\xfe", b"[]", b"null", b'{"decision_id": "x"}', b"[" * 5000, b'{"unheard": NaN}']
)
def test_a_line_that_holds_no_decision_is_skipped_and_told(log: Path, line: bytes) -> None:
    lines = log.read_bytes().splitlines()
    log.write_bytes(b"\n".join([lines[0], line, b"", *lines[1:], b""]))
    found, skipped = read(log)
    assert [one.name for one in found] == ["d-1", "d-2", "d-3"]
    assert [(one.line, one.is_torn) for one in skipped] == [(2, False)]
    assert skipped[0].why.startswith(("no JSON", "no decision"))


def test_a_line_of_any_length_takes_no_more_memory_than_is_allowed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 4096)
    lines = log.read_bytes().splitlines()
    log.write_bytes(b"\n".join([lines[0], b"x" * 200_000, *lines[1:], b""]))
    found, skipped = read(log)
    assert [one.name for one in found] == ["d-1", "d-2", "d-3"]
    assert [(one.line, one.why) for one in skipped] == [(2, "longer than 4096 bytes")]


def test_a_folder_of_evidence_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    entry = "decisions:\n  - {phase: smoke, evidence: {smoke.lost: 1, smoke.lost_names: [b/1]}, note: why}\n"
    (tmp_path / "b.yaml").write_text(HEAD + entry)
    (tmp_path / "a.yaml").write_text(HEAD.replace("mine", "first") + entry)
    found, _ = read(tmp_path)
    assert [(one.name, one.note) for one in found] == [("first #1", "why"), ("mine #1", "why")]
    assert found[0].evidence == {"smoke.lost": 1, "smoke.lost_names": ("b/1",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("decisions: []\n", "decisions"),
        ("decisions:\n  - {phase: lunch, evidence: {smoke.lost: 1}}\n", "phase"),
        ("decisions:\n  - {phase: smoke, evidence: {smoke.lost: [1]}}\n", "this is no evidence"),
        ("decisions:\n  - {phase: smoke, evidence: {}}\n", "evidence"),
        ("decisions:\n  - {phase: smoke, evidence: {smoke.lost: 1}, verdict: ACCEPT}\n", "verdict"),
    ],
)
def test_a_file_of_evidence_that_is_none_is_one_line_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(HEAD + text)
    with pytest.raises(UserError, match=message) as raised:
        read(tmp_path)
    assert "\n" not in str(raised.value)
    assert "a.yaml:" in str(raised.value)


def test_where_nothing_was_recorded_the_message_says_what_is_wanted(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="there are no decisions to replay"):
            read(path)


def test_a_time_that_is_none_is_one_line(log: Path) -> None:
    with pytest.raises(UserError, match="this is not a time; got 'yesterday'"):
        read(log, "yesterday")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [('"loss"', '"loss","rule_id":"other"', "'rule_id' occurs twice"), ("0.05", "NaN", "NaN")],
)
def test_a_line_with_a_key_twice_or_no_number_is_no_decision(log: Path, old: str, new: str, why: str) -> None:
    first, second, *rest = log.read_text().splitlines()
    log.write_text("\n".join([first, second.replace(old, new, 1), *rest, ""]))
    found, skipped = read(log)
    assert [one.name for one in found] == ["d-1", "d-3"]
    assert [(one.line, one.is_torn) for one in skipped] == [(2, False)]
    assert why in skipped[0].why
