from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import make_task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autosurgeon.bench.taskfile import read_tasks, write_tasks
from autosurgeon.errors import UserError

GOOD = make_task().model_dump_json()


def refused(folder: Path, content: str | bytes) -> str:
    path = folder / "tasks.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError) as caught:
        read_tasks(path)
    return str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompts=st.lists(st.text(), min_size=1, max_size=4))
def test_tasks_read_back_as_they_were_written(tmp_path: Path, prompts: list[str]) -> None:
    tasks = [make_task(f"b/{n}", prompt=prompt) for n, prompt in enumerate(prompts)]
    write_tasks(tmp_path / "tasks.jsonl", tasks)
    assert read_tasks(tmp_path / "tasks.jsonl") == tasks


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r\n"])
def test_a_prompt_may_hold_what_other_people_call_a_line_end(tmp_path: Path, separator: str) -> None:
    tasks = [make_task(prompt=f"one{separator}two")]
    write_tasks(tmp_path / "tasks.jsonl", tasks)
    assert read_tasks(tmp_path / "tasks.jsonl") == tasks


@pytest.mark.parametrize("row", ["", "not json", "5", "[]", '{"task_id": "b/0"}', GOOD[:-5], GOOD + "x"])
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: str) -> None:
    assert "tasks.jsonl:2" in refused(tmp_path, f"{GOOD}\n{row}\n{GOOD}\n")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"split": "train"}, "split"),
        ({"kind": "class"}, "kind"),
        ({"cases": [{"given": "1"}]}, "cases.0.wanted"),
        ({"prompt": 5}, "prompt"),
        ({"hint": "x"}, "hint"),
    ],
)
def test_a_field_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    row = json.dumps(make_task().model_dump(mode="json") | change)
    assert f"does not fit: {field};" in refused(tmp_path, row)


def test_a_task_that_stands_twice_is_refused(tmp_path: Path) -> None:
    assert "stands twice; got b/0" in refused(tmp_path, f"{GOOD}\n{GOOD}\n")


def test_a_task_without_cases_is_refused_since_anything_would_pass(tmp_path: Path) -> None:
    assert "no cases" in refused(tmp_path, make_task(cases=[]).model_dump_json())


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("(1,)", "foo()"), ("(1,)", "nan"), ("(1,)", ""), ("1", "1"), ("(x,)", "1"), ("", "1"), ("(1,)", "{[]}")],
)
def test_a_case_that_is_no_literal_is_refused_here_and_not_while_grading(
    tmp_path: Path, given: str, wanted: str
) -> None:
    said = refused(tmp_path, make_task(cases=[("(1,)", "1"), (given, wanted)]).model_dump_json())
    assert "cases.1" in said
    assert "tasks.jsonl:1" in said


def test_a_function_task_without_a_function_is_refused(tmp_path: Path) -> None:
    assert "entry_point" in refused(tmp_path, make_task(entry_point=None).model_dump_json())


def test_a_programs_cases_are_any_text(tmp_path: Path) -> None:
    task = make_task(kind="stdin", entry_point=None, cases=[("no literal (", "")])
    write_tasks(tmp_path / "tasks.jsonl", [task])
    assert read_tasks(tmp_path / "tasks.jsonl") == [task]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{}", b"\x00"])
def test_a_file_of_no_tasks_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "task" in refused(tmp_path, content)


def test_a_missing_file_is_the_users_to_fix(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_tasks(tmp_path / "none.jsonl")
