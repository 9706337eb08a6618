from __future__ import annotations

import gzip
import itertools
import json
import os
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from builders import make_result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from autosurgeon.bench import results
from autosurgeon.bench.results import ResultFile, ResultRow, read_results
from autosurgeon.core.envelope import Poison
from autosurgeon.errors import UserError

THREE = (
    make_result("b/0"),
    make_result("b/1", "fail", detail='torn "here"\né\ud800'),
    make_result("b/1", "infra", sample=1, tier="shared", jail="plain"),
)


def write(path: Path, rows: Sequence[ResultRow]) -> bytes:
    with ResultFile(path) as file:
        for row in rows:
            file.append(row)
    return path.read_bytes()


def refused(path: Path, content: bytes) -> str:
    """What opening and reading it are refused with; opening leaves it as it is."""
    path.write_bytes(content)
    with pytest.raises(UserError) as caught, ResultFile(path):
        pass
    assert path.read_bytes() == content
    assert str(path) in str(caught.value)
    return str(caught.value)


def misread(path: Path, *rows: dict[str, Any] | str) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    with pytest.raises(UserError) as caught:
        list(read_results(path))
    return str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.tuples(st.text(min_size=1), st.text(st.characters())), max_size=8),
    verdict=st.sampled_from(["pass", "infra"]),
    cpu_s=st.floats(0, 1e9),
)
def test_rows_read_back_as_they_were_appended(
    tmp_path: Path, texts: list[tuple[str, str]], verdict: str, cpu_s: float
) -> None:
    seen: dict[str, int] = {}
    rows = []
    for task_id, detail in texts:
        task = task_id.encode("utf-8", "replace").decode()
        sample = seen[task] = seen.get(task, -1) + 1
        rows.append(make_result(task, verdict, sample=sample, detail=detail, cpu_s=cpu_s))
    path = tmp_path / "r.jsonl"
    path.unlink(missing_ok=True)
    write(path, rows)
    assert list(read_results(path)) == rows
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert list(read_results(path)) == rows


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task_id", 5),
        ("task_id", ""),
        ("task_id", "\ud800"),
        ("sample", -1),
        ("sample", "0"),
        ("sample", True),
        ("sample", 0.0),
        ("verdict", "passed"),
        ("cause", "bad luck"),
        ("cause", "wrong"),
        ("tier", "in_place"),
        ("jail", "docker"),
        ("jail", ["bwrap"]),
        ("cpu_s", "1"),
        ("cpu_s", -0.5),
        ("cpu_s", float("nan")),
        ("cpu_s", float("inf")),
        ("food", None),
        ("food", -1),
        ("detail", None),
        ("more", 1),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_its_line(tmp_path: Path, field: str, value: object) -> None:
    good = make_result("b/0").model_dump(mode="json")
    said = misread(tmp_path / "r.jsonl", good, make_result("b/1").model_dump(mode="json") | {field: value})
    assert "r.jsonl:2)" in said
    assert f"a row does not fit: {field};" in said
    said.encode("utf-8")


@pytest.mark.parametrize("field", [name for name in ResultRow.model_fields if name not in ("detail", "program")])
def test_a_field_that_is_missing_is_named_with_its_line(tmp_path: Path, field: str) -> None:
    content = make_result("b/0").model_dump(mode="json")
    del content[field]
    assert f"{field}; got nothing" in misread(tmp_path / "r.jsonl", content)


def test_a_verdict_of_fail_has_a_cause_and_no_other_has_one() -> None:
    for verdict, cause in (("fail", None), ("pass", Poison.WRONG), ("infra", Poison.DIED)):
        with pytest.raises(ValidationError, match="a cause belongs to a verdict of fail"):
            make_result("b/0", verdict, cause=cause)


def test_a_sample_that_is_there_twice_or_left_out_is_refused_by_line(tmp_path: Path) -> None:
    first, second, third = (make_result("b/0", sample=n).model_dump(mode="json") for n in range(3))
    other = make_result("b/1").model_dump(mode="json")
    said = misread(tmp_path / "r.jsonl", first, other, second, first)
    assert "sample; got 0 of 'b/0' again; wanted 2, the next of this task" in said
    assert "r.jsonl:4)" in said
    assert "got 2 of 'b/0'; wanted 1" in misread(tmp_path / "r.jsonl", first, third)


@pytest.mark.parametrize("line", ["", "{}", "[]", "null", "not JSON", '{"task_id": "b/0", "completion": "x"}'])
def test_a_line_that_is_no_result_is_refused_and_the_file_left_as_it_is(tmp_path: Path, line: str) -> None:
    row = write(tmp_path / "r.jsonl", THREE[:1])
    for content in (line.encode() + b"\n", row + line.encode() + b"\n", line.encode() + b"\n" + row):
        refused(tmp_path / "r.jsonl", content)


@pytest.mark.parametrize(
    "content",
    [
        b"notes that nobody has kept elsewhere",
        b"{}",
        b"[1, 2]",
        b"   ",
        b"\0" * 100,
        b"\xff\xfe",
        b'{"task_id":"b/0"}',
        b'{"task_id": "b/0", "completion": "x"}',
        b'{"task_id":"b/0","completion":"x"}',
        b'{"task_id":"b/0","completion":"to',
        b'{"precious',
        b"[" * 100_000,
        gzip.compress(b""),
        b'{"task_id":"' + b"x" * (results.MAX_RESULT_BYTES + 1) + b'",',
    ],
    ids=range(14),
)
def test_a_line_without_an_end_is_only_cut_where_it_is_how_a_row_begins(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path / "r.jsonl", content)


def test_a_run_cut_short_at_any_byte_goes_on_to_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    whole = write(path, THREE)
    ends = [0, *itertools.accumulate(len(line) for line in whole.splitlines(keepends=True))]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        held = sum(end <= cut for end in ends) - 1
        with ResultFile(path) as file:
            assert file.count == held
            assert list(file.held()) == list(THREE[:held])
            assert path.stat().st_size == ends[held]
            for row in THREE[held:]:
                file.append(row)
            assert list(file.held()) == list(THREE[:held])
        assert path.read_bytes() == whole


def test_more_than_a_row_without_an_end_is_no_torn_row(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    refused(path, write(path, THREE) + b"x" * (results.MAX_RESULT_BYTES + 1))


def test_zeros_at_the_end_of_a_file_that_lost_its_power_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    whole = write(path, THREE)
    path.write_bytes(whole + b"\0" * 5000)
    with ResultFile(path) as file:
        assert file.count == 3
    assert path.read_bytes() == whole


def test_a_run_that_is_killed_has_its_flushed_rows_on_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    script = (
        "import os, pathlib, signal, sys; sys.path.insert(0, 'tests/support')\n"
        "from builders import make_result; from autosurgeon.bench.results import ResultFile, ROWS_PER_FLUSH\n"
        "with ResultFile(pathlib.Path(sys.argv[1])) as file:\n"
        "    for n in range(3 * ROWS_PER_FLUSH + 5): file.append(make_result('b/0', sample=n))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script, path], cwd=root, check=False, timeout=120)
    assert done.returncode == -9
    with ResultFile(path) as file:
        assert file.count >= 3 * results.ROWS_PER_FLUSH


def test_a_second_run_on_the_same_file_is_refused_while_the_first_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ResultFile(path), pytest.raises(UserError, match="another run writes these results"), ResultFile(path):
        pass
    with ResultFile(path) as file:
        assert file.count == 0


def test_folders_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null"), tmp_path / "none" / "r.jsonl"):
        with pytest.raises(UserError, match=r"cannot be opened|a pipe or a device"), ResultFile(path):
            pass


def test_a_disk_that_takes_no_more_is_said_and_what_fitted_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UserError, match="a result file cannot be written"), ResultFile(path) as file:
            for n in range(1000):
                file.append(make_result("b/0", sample=n))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.stat().st_size == 1000
    with ResultFile(path) as file:
        assert file.count == sum(1 for _ in file.held()) > 3


def test_a_row_too_large_to_be_read_back_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    huge = make_result("b/0", detail="x" * results.MAX_RESULT_BYTES)
    with ResultFile(path) as file, pytest.raises(UserError, match="too large"):
        file.append(huge)
    assert path.read_bytes() == b""


def test_a_long_file_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write(path, [make_result("b/0", sample=n, detail="x" * 500) for n in range(5000)])
    tracemalloc.start()
    try:
        with ResultFile(path) as file:
            assert sum(1 for _ in file.held()) == 5000
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size
    finally:
        tracemalloc.stop()
