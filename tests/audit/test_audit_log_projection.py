from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import make_decision, write_log
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autosurgeon.core.decision import Decision

DECISIONS = [
    make_decision("d-1"),
    make_decision("d-2", evidence={"training.loss": 0.5}),
    make_decision("d-3", reason="Größe\nzwei\u2028drei"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "decisions.jsonl"


def read(path: Path) -> list[Decision]:
    return [Decision.model_validate_json(line) for line in path.read_bytes().splitlines()]


def test_every_decision_is_one_line_that_reads_back(path: Path) -> None:
    assert write_log(path, DECISIONS) == 3
    assert read(path) == DECISIONS


def test_projecting_again_adds_nothing_and_touches_nothing(path: Path) -> None:
    write_log(path, DECISIONS)
    before = path.read_bytes()
    assert write_log(path, DECISIONS) == 0
    assert path.read_bytes() == before


def test_only_what_is_missing_is_added_at_the_end(path: Path) -> None:
    write_log(path, DECISIONS[:1])
    before = path.read_bytes()
    assert write_log(path, DECISIONS) == 2
    assert path.read_bytes().startswith(before)
    assert read(path) == DECISIONS


def test_nothing_to_write_makes_no_file(path: Path) -> None:
    assert write_log(path, []) == 0
    assert not path.exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_a_log_that_was_torn_anywhere_is_whole_after_the_next_projection(path: Path, data: st.DataObject) -> None:
    path.unlink(missing_ok=True)
    write_log(path, DECISIONS)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    write_log(path, DECISIONS)
    assert path.read_bytes() == whole


def test_a_torn_line_is_taken_off_even_when_no_decision_is_missing(path: Path) -> None:
    write_log(path, DECISIONS)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"decision_id": "d-4", "act')
    assert write_log(path, DECISIONS) == 0
    assert path.read_bytes() == whole


@pytest.mark.parametrize("line", [b"", b"garbage", b"[]", b"5", b"{}", b'{"decision_id": ["d-1"]}', b"\xff"])
def test_a_line_that_is_no_decision_is_kept_and_does_not_hide_one(path: Path, line: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(line + b"\n")
    assert write_log(path, DECISIONS) == 3
    lines = path.read_bytes().splitlines()
    assert lines[0] == line
    assert [json.loads(text)["decision_id"] for text in lines[1:]] == ["d-1", "d-2", "d-3"]
