from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autosurgeon.bench.formats.json_rows import read_rows, shown
from autosurgeon.errors import UserError


def contents(path: Path, *, array: bool = False, most: int = 1000) -> list[dict[str, object]]:
    return [row.content for row in read_rows(path, array=array, most=most)]


def refused(folder: Path, content: bytes, *, array: bool = False, most: int = 1000) -> str:
    path = folder / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        contents(path, array=array, most=most)
    said = str(caught.value)
    said.encode("utf-8")
    return said


def test_plain_and_gzipped_files_are_told_apart_by_their_first_bytes_and_not_by_their_names(tmp_path: Path) -> None:
    squeezed, plain = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    squeezed.write_bytes(gzip.compress(b'{"n": 1}\n') + gzip.compress(b'{"n": 2}\n'))
    plain.write_bytes(b'{"n": 1}\n{"n": 2}\n')
    assert contents(squeezed) == contents(plain) == [{"n": 1}, {"n": 2}]


def test_a_byte_order_mark_carriage_returns_and_blank_lines_at_the_end_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"n": 1}\r\n{"n": 2}\r\n\r\n  \n')
    assert contents(path) == [{"n": 1}, {"n": 2}]


def test_a_line_ends_at_a_line_feed_and_at_nothing_else_that_people_call_a_line_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "one\u2028two\x85three"}\n', encoding="utf-8")
    assert contents(path) == [{"a": "one\u2028two\x85three"}]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b"", "blank line"),
        (b"\xff", "UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "UTF-8"),
        (b"[1]", "JSON array"),
        (b"5", "got 5"),
        (b"null", "None"),
        (b'{"a": 1} {"b": 2}', "Extra data"),
        (b'{"a": ', "one JSON object"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "4300"),
    ],
)
def test_a_line_that_is_no_row_is_named_by_file_and_line(tmp_path: Path, line: bytes, named: str) -> None:
    said = refused(tmp_path, b'{"n": 1}\n' + line + b'\n{"n": 3}\n', most=200_000)
    assert named in said
    assert "rows.jsonl:2)" in said


def test_an_array_where_lines_are_meant_is_named_as_such(tmp_path: Path) -> None:
    assert "a JSON array; wanted one JSON object a line" in refused(tmp_path, b'[\n {"n": 1}\n]\n')


def test_an_array_is_read_where_it_is_allowed_and_so_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(b'[\n {"n": 1},\n {"n": 2}\n]\n')
    assert [row.where for row in read_rows(path, array=True)] == [f"{path}[0]", f"{path}[1]"]
    path.write_bytes(b'{"n": 1}\n{"n": 2}\n')
    assert contents(path, array=True) == [{"n": 1}, {"n": 2}]


def test_what_is_no_row_in_an_array_is_named_by_its_index(tmp_path: Path) -> None:
    assert "rows.jsonl[1])" in refused(tmp_path, b'[{"n": 1}, 5]', array=True)


def test_a_long_line_is_refused_before_it_is_in_memory(tmp_path: Path) -> None:
    bomb = gzip.compress(b'{"n": 1}\n{"a": "' + b"x" * 50_000_000)
    assert "rows.jsonl:2)" in refused(tmp_path, bomb)
    assert "more than 1000 bytes" in refused(tmp_path, b'[{"a": "' + b"x" * 2000 + b'"}]', array=True)


@pytest.mark.parametrize("cut", [1, 9, 30])
def test_a_gzipped_file_that_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    whole = gzip.compress(b"".join(b'{"n": "%d"}\n' % n for n in range(40)))
    assert "cannot be read" in refused(tmp_path, whole[:-cut])


def test_a_gzipped_file_that_is_damaged_or_has_something_behind_it_is_refused(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(b'{"n": 1}\n' * 40))
    assert "cannot be read" in refused(tmp_path, bytes(whole) + b"more")
    whole[-6] ^= 1
    assert "cannot be read" in refused(tmp_path, bytes(whole))


def test_a_missing_file_and_a_folder_are_the_users_to_fix(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            contents(path)


def test_rows_come_one_at_a_time_so_a_later_fault_does_not_hide_an_earlier_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"n": 1}\nnonsense\n')
    assert [row.content for row in itertools.islice(read_rows(path), 1)] == [{"n": 1}]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps({"a": text}).encode()))
def test_any_bytes_are_either_rows_or_refused(tmp_path: Path, content: bytes) -> None:
    for bytes_ in (content, gzip.compress(content), b"\x1f\x8b" + content):
        path = tmp_path / "rows.jsonl"
        path.write_bytes(bytes_)
        for array in (False, True):
            try:
                contents(path, array=array)
            except UserError as error:
                assert "rows.jsonl" in str(error)


@pytest.mark.parametrize("value", ["\ud800", pytest.param(10**5000, id="digits"), [[[]]], {"\ud800": 1}])
def test_any_value_can_be_shown(value: object) -> None:
    assert shown(value).isascii()
