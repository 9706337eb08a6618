from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import make_task

from autosurgeon.bench.answerfile import Asked, write_answers
from autosurgeon.bench.grade import Grader
from autosurgeon.bench.gradefile import grade_file
from autosurgeon.bench.quarantine import read_quarantine, write_quarantine
from autosurgeon.bench.results import read_results
from autosurgeon.bench.score import Score
from autosurgeon.core.answers import Answers, Reply
from autosurgeon.core.chat import code_of
from autosurgeon.core.task import Case, Task
from autosurgeon.errors import UserError, WorldError
from autosurgeon.sections import GradingSettings

RIGHT, WRONG = "def solve(x):\n    return x\n", "def solve(x):\n    return 0\n"
TASKS = {f"b/{n}": make_task(f"b/{n}") for n in range(4)}


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(GradingSettings(workers=2, cpu_s=1, wall_s=5)) as grader:
        yield grader


def samples_file(folder: Path, *pairs: tuple[str, str]) -> Path:
    path = folder / "samples.jsonl"
    rows = [{"task_id": task_id, "completion": text} for task_id, text in pairs]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def graded(grader: Grader, folder: Path, samples: Path, tasks: dict[str, Task] = TASKS, **options: object) -> Score:
    return grade_file(tasks, samples, folder / "out.jsonl", grader, lambda done, total: None, **options)  # type: ignore[arg-type]


def test_results_come_in_the_order_of_the_samples_each_with_its_number(grader: Grader, tmp_path: Path) -> None:
    pairs = [("b/1", RIGHT), ("b/0", WRONG), ("b/1", WRONG), ("b/2", RIGHT)]
    score = graded(grader, tmp_path, samples_file(tmp_path, *pairs))
    rows = list(read_results(tmp_path / "out.jsonl"))
    assert [(row.task_id, row.sample, row.verdict) for row in rows] == [
        ("b/1", 0, "pass"),
        ("b/0", 0, "fail"),
        ("b/1", 1, "fail"),
        ("b/2", 0, "pass"),
    ]
    assert {row.tier for row in rows} == {"split"}
    (bench,) = score.benches
    assert (bench.tasks, bench.samples, bench.passed, bench.without_samples) == (4, 4, 2, ("b/3",))
    # b/0: 0 of 1, b/1: 1 of 2, b/2: 1 of 1, b/3: nothing, which is no pass.
    assert bench.pass_at == {1: pytest.approx(1.5 / 4)}


def test_a_sample_ends_where_a_run_ends_the_same_text(grader: Grader, tmp_path: Path) -> None:
    program = make_task("b/p", kind="stdin", entry_point=None, cases=[("7\n", "7\n")], reference="print(input())\n")
    ramble = "This is how it works:\n"
    samples = samples_file(tmp_path, ("b/0", RIGHT + ramble), ("b/p", f"print(input())\n{ramble}"))
    graded(grader, tmp_path, samples, {"b/0": TASKS["b/0"], "b/p": program})
    assert [row.verdict for row in read_results(tmp_path / "out.jsonl")] == ["pass", "pass"]


def test_an_answer_of_bench_run_ends_where_it_ended_there(grader: Grader, tmp_path: Path) -> None:
    """A code block, the answer of a chat, may define helpers behind the function, and the function behind its head."""
    head = "def solve(x):\n"
    task = make_task("b/0", prompt=head, prelude=head, reference="    return x\n")
    code = "def solve(x):\n    return helper(x)\n\ndef helper(x):\n    return x\n"
    text = code_of(task, f"```python\n{code}```\n")
    path = tmp_path / "answers.jsonl"
    write_answers(path, Asked("B", "m", 1), Answers({"b/0": [Reply(text=text)]}, "f"))
    graded(grader, tmp_path, path, {"b/0": task})
    assert [row.verdict for row in read_results(tmp_path / "out.jsonl")] == ["pass"]


def id_file(folder: Path, *task_ids: object) -> Path:
    """Samples as another program writes them, with ids of any type."""
    path = folder / "samples.jsonl"
    path.write_text("".join(json.dumps({"task_id": task_id, "completion": RIGHT}) + "\n" for task_id in task_ids))
    return path


@pytest.mark.parametrize("bench", ["Mbpp", "HumanEval"])
def test_a_sample_may_name_its_task_by_the_number_that_the_bench_itself_has(
    grader: Grader, tmp_path: Path, bench: str
) -> None:
    tasks = {f"{bench}/{n}": make_task(f"{bench}/{n}") for n in (0, 11)}
    score = graded(grader, tmp_path, id_file(tmp_path, 11, "11", f"{bench}/11", 0), tasks)
    rows = [(row.task_id, row.sample) for row in read_results(tmp_path / "out.jsonl")]
    assert rows == [(f"{bench}/11", 0), (f"{bench}/11", 1), (f"{bench}/11", 2), (f"{bench}/0", 0)]
    assert graded(grader, tmp_path, id_file(tmp_path, *[f"{bench}/11"] * 3, f"{bench}/0"), tasks) == score


def test_a_number_that_is_of_several_tasks_is_refused_by_name(grader: Grader, tmp_path: Path) -> None:
    tasks = {task_id: make_task(task_id) for task_id in ("Mbpp/11", "HumanEval/11", "12", "Mbpp/12")}
    with pytest.raises(UserError, match=r"several tasks; got 11; wanted one of Mbpp/11, HumanEval/11 .*jsonl:2"):
        graded(grader, tmp_path, id_file(tmp_path, 12, 11), tasks)


@pytest.mark.parametrize("task_id", [True, 11.0, -11, 10**400, "011", " 11", "\u0661\u0661", None, [11]])
def test_an_id_that_is_neither_a_tasks_nor_its_number_is_refused(
    grader: Grader, tmp_path: Path, task_id: object
) -> None:
    with pytest.raises(UserError, match=r"task_id|of no task"):
        graded(grader, tmp_path, id_file(tmp_path, task_id), {"Mbpp/11": make_task("Mbpp/11")})


def test_a_run_that_was_cut_goes_on_where_it_was(grader: Grader, tmp_path: Path) -> None:
    samples = samples_file(tmp_path, *[(f"b/{n % 4}", RIGHT if n % 3 else WRONG) for n in range(12)])
    whole = graded(grader, tmp_path, samples)
    out = tmp_path / "out.jsonl"
    lines = out.read_bytes().splitlines(keepends=True)
    for cut in (b"", b"".join(lines[:5]), b"".join(lines[:5]) + lines[5][:20], b"".join(lines)):
        out.write_bytes(cut)
        told: list[tuple[int, int]] = []
        assert grade_file(TASKS, samples, out, grader, lambda *done: told.append(done)) == whole  # noqa: B023
        assert [json.loads(line)["verdict"] for line in out.read_bytes().splitlines()] == [
            json.loads(line)["verdict"] for line in lines
        ]
        assert told[:1] == ([] if cut == b"".join(lines) else [(cut.count(b"\n"), 12)])


def test_results_of_other_samples_are_not_continued(grader: Grader, tmp_path: Path) -> None:
    graded(grader, tmp_path, samples_file(tmp_path, ("b/0", RIGHT), ("b/1", RIGHT)))
    before = (tmp_path / "out.jsonl").read_bytes()
    for pairs in ([("b/1", RIGHT), ("b/0", RIGHT)], [("b/0", RIGHT)], [("b/0", WRONG), ("b/1", RIGHT)]):
        with pytest.raises(UserError, match="of other samples"):
            graded(grader, tmp_path, samples_file(tmp_path, *pairs))
        assert (tmp_path / "out.jsonl").read_bytes() == before


def test_a_sample_of_no_task_is_refused_before_anything_is_graded(grader: Grader, tmp_path: Path) -> None:
    samples = samples_file(tmp_path, ("b/0", RIGHT), ("b/9", RIGHT))
    with pytest.raises(UserError, match=r"samples.jsonl:2") as caught:
        graded(grader, tmp_path, samples)
    assert "b/9" in str(caught.value)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_machine_on_which_references_fail_gives_no_results(grader: Grader, tmp_path: Path) -> None:
    tasks = {"b/0": make_task("b/0", reference=WRONG)}
    with pytest.raises(WorldError, match="0 of 1 references"):
        graded(grader, tmp_path, samples_file(tmp_path, ("b/0", RIGHT)), tasks)
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_what_could_not_be_graded_is_told_apart_and_stays_in_the_denominator(grader: Grader, tmp_path: Path) -> None:
    tasks = TASKS | {"b/4": make_task("b/4", cases=(), tests="assert (", reference=None)}
    score = graded(grader, tmp_path, samples_file(tmp_path, ("b/0", RIGHT), ("b/4", RIGHT)), tasks)
    (bench,) = score.benches
    assert (bench.infra, bench.tasks, score.infra) == (("b/4",), 5, 1)
    assert bench.pass_at[1] == pytest.approx(1 / 5)


def test_tasks_in_quarantine_do_not_count(grader: Grader, tmp_path: Path) -> None:
    write_quarantine(tmp_path / "q.json", {"b/0": "broken: error"})
    shut = read_quarantine(tmp_path / "q.json")
    samples = samples_file(tmp_path, ("b/0", WRONG), ("b/1", RIGHT))
    (bench,) = graded(grader, tmp_path, samples, quarantined=shut).benches
    assert (bench.tasks, bench.quarantined, bench.samples, bench.passed) == (3, 1, 1, 1)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": "other/1", "tasks": {}}', b'{"tasks": {"a": 1}}'])
def test_a_file_that_is_no_quarantine_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "q.json").write_bytes(content)
    with pytest.raises(UserError, match="no quarantine file"):
        read_quarantine(tmp_path / "q.json")


def test_the_base_cases_have_a_score_of_their_own(grader: Grader, tmp_path: Path) -> None:
    cases = (Case(given="(1,)", wanted="1"), Case(given="(0,)", wanted="7"))
    task = make_task("b/0", reference=None).model_copy(update={"cases": cases, "base_cases": 1})
    (bench,) = graded(grader, tmp_path, samples_file(tmp_path, ("b/0", RIGHT)), {"b/0": task}).benches
    assert (bench.pass_at[1], bench.base_pass_at_1) == (0.0, 1.0)


def test_pass_at_k_is_told_for_each_k_that_every_task_has_samples_for(grader: Grader, tmp_path: Path) -> None:
    tasks = {"b/0": make_task("b/0")}
    pairs = [("b/0", RIGHT)] * 3 + [("b/0", WRONG)] * 9
    (bench,) = graded(grader, tmp_path, samples_file(tmp_path, *pairs), tasks).benches
    assert bench.pass_at[1] == pytest.approx(3 / 12)
    assert bench.pass_at[10] == 1.0
    assert 100 not in bench.pass_at


def test_a_result_file_of_another_release_is_graded_for_the_tasks_that_the_bench_has(
    grader: Grader, tmp_path: Path
) -> None:
    path = tmp_path / "eval_results.json"
    evaluated = {task_id: [{"task_id": task_id, "solution": RIGHT}] for task_id in ("b/9", "b/1")}
    path.write_text(json.dumps({"eval": evaluated}))
    graded(grader, tmp_path, path)
    assert [(row.task_id, row.verdict) for row in read_results(tmp_path / "out.jsonl")] == [("b/1", "pass")]
    path.write_text(json.dumps({"eval": {"b/9": evaluated["b/9"]}}))
    with pytest.raises(UserError, match="no sample is of a task of this bench"):
        graded(grader, tmp_path, path)
