from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from builders import make_task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import autosurgeon.bench.formats
from autosurgeon.bench.formats.native import write_tasks
from autosurgeon.bench.formats.read import FORMATS, read_bench, read_tasks
from autosurgeon.bench.splits import split_of
from autosurgeon.core.task import Split, Task
from autosurgeon.errors import UserError

GOOD = make_task().model_dump_json()


def refused(folder: Path, content: str | bytes) -> str:
    path = folder / "tasks.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError) as caught:
        read_tasks(path)
    said = str(caught.value)
    said.encode("utf-8")
    return said


def changed(**change: Any) -> str:
    return json.dumps(make_task().model_dump(mode="json") | change)


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


def test_a_gzipped_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    (tmp_path / "tasks").write_bytes(gzip.compress(GOOD.encode()))
    assert read_tasks(tmp_path / "tasks") == [make_task()]


@pytest.mark.parametrize("row", ["", "not json", "5", "[]", '{"task_id": "b/0"}', GOOD[:-5], GOOD + "x"])
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: str) -> None:
    assert "tasks.jsonl:2" in refused(tmp_path, f"{GOOD}\n{row}\n{GOOD}\n")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"split": "train"}, "split"),
        ({"split": None}, "split"),
        ({"cluster": None}, "cluster"),
        ({"task_id": ""}, "task_id"),
        ({"kind": "class"}, "kind"),
        ({"cases": [{"wanted": "1"}]}, "cases.0.given"),
        ({"cases": [{"given": "(1,)"}], "reference": None}, "cases.0.wanted"),
        ({"prompt": 5}, "prompt"),
        ({"hint": "x"}, "hint"),
        ({"row": "x"}, "row"),
        ({"\ud800": "x"}, "row"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"cluster": "\ud800"}, "cluster"),
        ({"cases": [{"given": "('\ud800',)", "wanted": "1"}]}, "cases.0"),
        ({"base_cases": 2}, "base_cases"),
        ({"base_cases": -1}, "base_cases"),
        ({"atol": -1}, "atol"),
        ({"atol": float("nan")}, "atol"),
        ({"atol": float("inf")}, "atol"),
        ({"tests": "assert ("}, "tests"),
        ({"support": "\0"}, "support"),
        ({"contract": "x =" + "(" * 1000}, "contract"),
        ({"accept": "x = 1"}, "accept"),
        ({"entry_point": None}, "entry_point"),
        ({"entry_point": "a.b.c"}, "entry_point"),
        ({"entry_point": "a()"}, "entry_point"),
        ({"cases": []}, "cases"),
        ({"kind": "stdin"}, "entry_point"),
        ({"kind": "stdin", "entry_point": None, "tests": "pass"}, "tests"),
        ({"kind": "stdin", "entry_point": None, "cases": [{"given": ""}]}, "cases.0.wanted"),
    ],
)
def test_a_field_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    assert f"does not fit: {field};" in refused(tmp_path, changed(**change))


def test_a_task_that_stands_twice_is_refused(tmp_path: Path) -> None:
    assert "stands twice; got b/0" in refused(tmp_path, f"{GOOD}\n{GOOD}\n")


def test_a_task_without_cases_and_tests_is_refused_since_anything_would_pass(tmp_path: Path) -> None:
    assert "no cases and no tests" in refused(tmp_path, changed(cases=[]))


def test_tests_may_take_the_place_of_cases_and_a_reference_that_of_wanted_answers(tmp_path: Path) -> None:
    tasks = [
        make_task("b/0", cases=[], tests="assert solve(1) == 1\n"),
        make_task("b/1").model_copy(update={"cases": (make_task().cases[0].model_copy(update={"wanted": None}),)}),
    ]
    write_tasks(tmp_path / "tasks.jsonl", tasks)
    assert read_tasks(tmp_path / "tasks.jsonl") == tasks


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


def test_a_programs_cases_are_any_text(tmp_path: Path) -> None:
    task = make_task(kind="stdin", entry_point=None, cases=[("no literal (", "")])
    write_tasks(tmp_path / "tasks.jsonl", [task])
    assert read_tasks(tmp_path / "tasks.jsonl") == [task]


def test_old_python_with_a_warning_in_it_is_still_python(tmp_path: Path) -> None:
    task = make_task(cases=[("('\\d',)", "'\\d'")], tests="assert solve('\\d')\n")
    write_tasks(tmp_path / "tasks.jsonl", [task])
    assert read_tasks(tmp_path / "tasks.jsonl") == [task]


def test_bench_cluster_and_split_may_be_left_out(tmp_path: Path) -> None:
    content = json.loads(GOOD)
    for field in ("bench", "cluster", "split"):
        del content[field]
    (tmp_path / "tasks.jsonl").write_text(json.dumps(content), encoding="utf-8")
    [task] = read_tasks(tmp_path / "tasks.jsonl")
    assert (task.bench, task.cluster, task.split) == ("native", "b/0", split_of("b/0"))


def test_what_a_row_says_of_itself_counts_but_the_callers_bench_counts_more(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(changed(bench="mine", cluster="kin", split="canary"), encoding="utf-8")
    [task] = read_bench(path, "native")
    assert (task.bench, task.cluster, task.split) == ("mine", "kin", Split.CANARY)
    assert read_bench(path, "native", bench="theirs") == [task.model_copy(update={"bench": "theirs"})]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe{}", b"\x00"])
def test_a_file_of_no_tasks_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "task" in refused(tmp_path, content)


def test_a_missing_file_is_the_users_to_fix(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_tasks(tmp_path / "none.jsonl")


def test_an_unknown_format_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'humaneval'"):
        read_bench(tmp_path / "x", "humanevl")  # type: ignore[arg-type]


def test_the_readme_lists_every_format_and_every_field_and_all_its_examples_load(tmp_path: Path) -> None:
    readme = Path(next(iter(autosurgeon.bench.formats.__path__)), "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE))
    assert listed == set(FORMATS) | set(Task.model_fields)
    examples = re.findall(r"```json\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "tasks.jsonl").write_text("".join(examples), encoding="utf-8")
    assert [(task.kind, bool(task.cases)) for task in read_tasks(tmp_path / "tasks.jsonl")] == [
        ("function", True),
        ("function", False),
        ("stdin", True),
    ]
