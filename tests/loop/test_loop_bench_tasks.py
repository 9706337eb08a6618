"""A person's benches: files of any format to one set of tasks, whose relatives stand in one split."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from autosurgeon.bench.quarantine import write_quarantine
from autosurgeon.bench.splits import split_of
from autosurgeon.core.task import Split, Task
from autosurgeon.core.training_data import Row
from autosurgeon.dataset.contamination import find_hits
from autosurgeon.errors import UserError
from autosurgeon.loop.baseline.bench_tasks import read_benches
from autosurgeon.sections import BenchSettings

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
WORDS = ("double", "halve", "negate", "square", "count", "reverse", "sort", "join", "trim", "fold", "zip", "map")


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A native task that is like no other."""
    word = WORDS[number]
    content = {
        "task_id": f"t/{number}",
        "kind": "function",
        "prompt": f"# {word} {'very ' * number}well the {word}s of {number}\n",
        "entry_point": word,
        "cases": [{"given": "(1,)", "wanted": str(number)}],
        "reference": f"def {word}(x):\n" + f"    x = {word!r} and x\n" * (number + 1) + f"    return {number}\n",
    }
    return content | changes


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(tmp_path: Path, *rows: dict[str, Any], kept: Path | None = None, **bench: Any) -> dict[str, Task]:
    return read_benches({"mine": BenchSettings(tasks=written(tmp_path / "t.jsonl", *rows), **bench)}, kept)


def test_tasks_have_the_benchs_name_and_keep_the_files_order(tmp_path: Path) -> None:
    tasks = read(tmp_path, *(row(number, bench="other") for number in (3, 1, 2)))
    assert list(tasks) == ["t/3", "t/1", "t/2"]
    assert {task.bench for task in tasks.values()} == {"mine"}
    assert all(task.cluster == task.task_id and task.split == split_of(task.cluster) for task in tasks.values())


def test_some_rows_are_taken_and_no_later_one_is_read(tmp_path: Path) -> None:
    broken = {"task_id": "t/9"}
    tasks = read(tmp_path, *(row(number) for number in range(4)), broken, first=2, count=2)
    assert list(tasks) == ["t/1", "t/2"]


@pytest.mark.parametrize(("taken", "message"), [({"count": 5}, "ends too early"), ({"first": 9}, "no row 9")])
def test_rows_that_are_not_there_are_missed(tmp_path: Path, taken: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, *(row(number) for number in range(4)), **taken)


def test_tasks_in_quarantine_are_left_out_and_one_at_least_stays(tmp_path: Path) -> None:
    shut = tmp_path / "shut.json"
    write_quarantine(shut, {"t/1": "flaky"})
    assert list(read(tmp_path, row(0), row(1), quarantine=shut)) == ["t/0"]
    with pytest.raises(UserError, match="every task of a bench is in quarantine; got mine"):
        read(tmp_path, row(1), quarantine=shut)


def test_a_task_in_two_benches_is_refused(tmp_path: Path) -> None:
    one = BenchSettings(tasks=written(tmp_path / "one.jsonl", row(1)))
    with pytest.raises(UserError, match="t/1 in a and b"):
        read_benches({"a": one, "b": one})


def test_twins_of_two_benches_share_the_cluster_of_the_first_and_its_split(tmp_path: Path) -> None:
    twin = row(7, reference=row(2)["reference"].replace("def sort", "def other"), entry_point="negate")
    files = (written(tmp_path / "a.jsonl", *map(row, range(4))), written(tmp_path / "b.jsonl", row(6), twin))
    tasks = read_benches({name: BenchSettings(tasks=file) for name, file in zip("ab", files, strict=True)})
    sharing = {task_id for task_id, task in tasks.items() if task.cluster == "t/2"}
    assert sharing == {"t/2", "t/7"}
    assert tasks["t/7"].split == tasks["t/2"].split == split_of("t/2")
    alone = read_benches({"a": BenchSettings(tasks=files[0])})
    assert all(tasks[task_id].split == task.split for task_id, task in alone.items())


def test_a_split_that_a_row_names_holds_for_its_twins_and_two_of_them_are_refused(tmp_path: Path) -> None:
    away = next(split for split in Split if split != split_of("t/2"))
    twin = row(7, reference=row(2)["reference"], split=away.value)
    tasks = read(tmp_path, row(2), twin)
    assert {task.split for task in tasks.values()} == {away}
    with pytest.raises(UserError, match=f"t/2 in {split_of('t/2')}, t/7 in {away}"):
        read(tmp_path, row(2, split=split_of("t/2").value), twin)


def test_likeness_alone_does_not_put_a_whole_bench_into_one_split(tmp_path: Path) -> None:
    def patterned(number: int) -> dict[str, Any]:
        body = "def f(x):\n" + "    total = sum(x) + total\n" * 12 + f"    return total * {number}\n"
        return row(0, task_id=f"p/{number}", prompt=f"# sum the numbers {number} times\n", reference=body)

    tasks = read(tmp_path, *map(patterned, range(40)))
    sizes = Counter(task.cluster for task in tasks.values())
    assert 1 < max(sizes.values()) <= 8
    assert {task.split for task in tasks.values()} >= {Split.SURGERY, Split.GATE}


def test_what_was_found_is_remembered_and_damage_to_it_is_harmless(tmp_path: Path) -> None:
    kept = tmp_path / "deep" / "kept"
    found = read(tmp_path, *map(row, range(5)), kept=kept)
    (file,) = kept.iterdir()
    groups = json.loads(file.read_text())
    assert [task_id for group in groups for task_id in group] == list(found)
    file.write_text(json.dumps([list(found)]))  # believed
    assert {task.cluster for task in read(tmp_path, *map(row, range(5)), kept=kept).values()} == {"t/0"}
    for damage in ("", "[", "3", '[["t/0"]]', "[[[]]]"):
        file.write_text(damage)
        assert read(tmp_path, *map(row, range(5)), kept=kept) == found


def test_no_row_of_the_published_benches_is_repeated_in_a_held_out_task() -> None:
    files = {"humaneval": SHARED / "HumanEval.jsonl.gz", "mbpp": SHARED / "mbpp.jsonl"}
    if not all(file.is_file() for file in files.values()):
        pytest.skip(f"no published benches in {SHARED}")
    humaneval = BenchSettings(tasks=files["humaneval"], format="humaneval")
    mbpp = BenchSettings(tasks=files["mbpp"], format="mbpp", first=11, count=100)
    tasks = read_benches({"humaneval": humaneval, "mbpp": mbpp})
    assert list(tasks)[164:] == [f"Mbpp/{number}" for number in range(11, 111)]
    assert {task.cluster for task_id, task in tasks.items() if task_id in ("Mbpp/16", "Mbpp/43")} == {"Mbpp/16"}
    rows = [
        Row(
            prompt=t.prompt, completion=t.reference or "", task_id=t.task_id, bench=t.bench, split=t.split, why="poison"
        )
        for t in tasks.values()
        if t.split == Split.SURGERY
    ]
    held_out = [task for task in tasks.values() if task.split != Split.SURGERY]
    assert find_hits(rows, {task_id: task.cluster for task_id, task in tasks.items()}, held_out) == ()
    assert len(held_out) > 80
