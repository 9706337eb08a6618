from __future__ import annotations

import gzip
import itertools
import json
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autosurgeon.bench.formats.samples import MAX_SAMPLE_BYTES, Sample, read_samples
from autosurgeon.errors import UserError


def write(path: Path, samples: Iterable[Sample]) -> None:
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as file:
        for one in samples:
            row = {"task_id": one.task_id, "solution" if one.whole else "completion": one.text}
            file.write(json.dumps(row).encode() + b"\n")


def refused(folder: Path, content: str) -> str:
    path = folder / "samples.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        list(read_samples(path))
    return str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    answers=st.lists(st.tuples(st.text(), st.text(), st.booleans()), min_size=1, max_size=5),
    name=st.sampled_from(["samples.jsonl", "samples.jsonl.gz"]),
)
def test_samples_are_read_from_plain_and_gzipped_files(
    tmp_path: Path, answers: list[tuple[str, str, bool]], name: str
) -> None:
    samples = [Sample(*answer, line) for line, answer in enumerate(answers, start=1)]
    write(tmp_path / name, samples)
    assert list(read_samples(tmp_path / name)) == samples


def test_a_completion_continues_the_prompt_and_a_solution_stands_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(
        '{"task_id": "t/0", "completion": "    return 1", "model": "m"}\n'
        '{"task_id": "t/0", "solution": "def f(): ..."}\n',
        encoding="utf-8",
    )
    assert list(read_samples(path)) == [Sample("t/0", "    return 1", False, 1), Sample("t/0", "def f(): ...", True, 2)]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ('{"task_id": "t/0"}', "completion"),
        ('{"task_id": "t/0", "completion": null}', "completion"),
        ('{"task_id": "t/0", "completion": "x", "solution": "y"}', "completion"),
        ('{"task_id": "t/0", "completion": ["x"]}', "completion"),
        ('{"task_id": "t/0", "solution": 5}', "solution"),
        ('{"task_id": "t/0", "solution": "\\ud800"}', "solution"),
        ('{"task_id": 5.0, "solution": "x"}', "task_id"),
        ('{"solution": "x"}', "task_id"),
        ("[]", "row"),
        ("", "row"),
    ],
)
def test_a_sample_that_does_not_fit_is_named_by_line_and_field(tmp_path: Path, row: str, field: str) -> None:
    good = '{"task_id": "t/0", "completion": "x"}'
    said = refused(tmp_path, f"{good}\n{row}\n{good}\n")
    assert f"does not fit: {field};" in said
    assert "samples.jsonl:2)" in said


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    assert "empty" in refused(tmp_path, "")
    assert "empty" in refused(tmp_path, "\n\n")


def test_a_sample_may_be_large_but_not_huge(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    largest = MAX_SAMPLE_BYTES - len(json.dumps({"task_id": "t", "completion": ""})) - 1
    write(path, [Sample("t", "x" * largest, False)])
    assert len(next(read_samples(path)).text) == largest
    path.write_text('{"task_id": "t", "completion": "' + "x" * MAX_SAMPLE_BYTES + '"}', encoding="utf-8")
    with pytest.raises(UserError, match=f"more than {MAX_SAMPLE_BYTES} bytes"):
        next(read_samples(path))


def test_samples_are_streamed(tmp_path: Path) -> None:
    many, size = 300, 100_000
    for name in ("samples.jsonl", "samples.jsonl.gz"):
        write(tmp_path / name, (Sample("t", "x" * size, True) for _ in range(many)))
        tracemalloc.start()
        read = sum(len(sample.text) for sample in read_samples(tmp_path / name))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert read == many * size
        assert peak < read / 5


def test_a_fault_further_down_does_not_keep_the_first_samples_back(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"task_id": "t", "completion": "x"}\nnonsense\n', encoding="utf-8")
    assert len(list(itertools.islice(read_samples(path), 1))) == 1


def test_a_result_file_of_evalplus_is_read_as_its_solutions(tmp_path: Path) -> None:
    path = tmp_path / "eval_results.json.gz"
    evaluated = {
        "Mbpp/2": [{"task_id": "Mbpp/2", "solution": "one", "base_status": "pass"}, {"solution": "two"}],
        "Mbpp/3": [{"task_id": "Mbpp/3", "solution": "three"}],
    }
    with gzip.open(path, "wb") as file:
        file.write(json.dumps({"date": "2024", "hash": "1", "eval": evaluated}).encode())
    found = [(sample.task_id, sample.text, sample.whole, sample.evaluated) for sample in read_samples(path)]
    assert found == [
        ("Mbpp/2", "one", True, True),
        ("Mbpp/2", "two", True, True),
        ("Mbpp/3", "three", True, True),
    ]


@pytest.mark.parametrize(
    ("results", "field"),
    [
        ('{"t": {"nfiles": 1, "base": [["pass", []]]}}', "eval.t"),
        ('{"t": ["pass"]}', "eval.t.0"),
        ('{"t": [{"base_status": "pass"}]}', "completion"),
    ],
)
def test_a_result_file_without_solutions_is_refused_by_field(tmp_path: Path, results: str, field: str) -> None:
    assert f"does not fit: {field};" in refused(tmp_path, f'{{"eval": {results}}}')
