"""The three modes by canned models: who answers in each, whose wins they are, and when a B run is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from builders import make_task

from autosurgeon.bench.grade import Grader
from autosurgeon.benchrun.modes import BenchOfMode, ModeReport
from autosurgeon.benchrun.run_modes import Progress, Sources, bench_modes, report_path, samples_path
from autosurgeon.core.answers import Answers, Reply
from autosurgeon.core.envelope import Mode
from autosurgeon.core.task import Task
from autosurgeon.errors import ServerError, UserError
from autosurgeon.loop.stages.generate_answers import Sampling
from autosurgeon.sections import GradingSettings

RIGHT, WRONG, NONE = "def solve(x):\n    return x\n", "def solve(x):\n    return -x\n", "I cannot.\n"
TASKS: dict[str, Task] = {task.task_id: task for task in (make_task(f"b/{n}") for n in range(5))}
ORGAN = dict(zip(TASKS, [RIGHT, WRONG, NONE, "", RIGHT], strict=True))
FALLBACK = dict(zip(TASKS, [WRONG, RIGHT, RIGHT, NONE, RIGHT], strict=True))


class Canned:
    """A model whose answers are given; counts which tasks it was asked."""

    def __init__(self, name: str, texts: Mapping[str, str], reported: Callable[[str], Reply] | None = None) -> None:
        self.name, self._texts = name, texts
        self._reply = reported or (lambda text: Reply(text=text, tokens=len(text), model=name))
        self.asked: list[str] = []

    def answer(self, tasks: Sequence[Task], sampling: Sampling, on_progress: Callable[[int, int], None]) -> Answers:
        self.asked += [task.task_id for task in tasks]
        replies = {task.task_id: [self._reply(self._texts[task.task_id])] * sampling.samples for task in tasks}
        return Answers(replies, self.name)


def bench(
    out: Path, modes: Sequence[Mode], organ: Canned | None, fallback: Canned | None, sampling: Sampling | None = None
) -> ModeReport:
    quiet = Progress(lambda *_: None, lambda *_: None)
    with Grader(GradingSettings(workers=2, cpu_s=1, wall_s=5)) as grader:
        return bench_modes(modes, Sources(organ, fallback), TASKS, out, sampling or Sampling(), grader, quiet)


def by_mode(report: ModeReport) -> dict[str, BenchOfMode]:
    return {run.mode.value: run.benches[0] for run in report.runs}


def test_each_mode_has_its_answers_and_the_report_names_whose_the_wins_are(tmp_path: Path) -> None:
    organ, fallback = Canned("organ-digest", ORGAN), Canned("big", FALLBACK)
    report = bench(tmp_path / "o.jsonl", list(Mode), organ, fallback)
    found = by_mode(report)
    assert [(m, b.won, b.tasks, b.organ_answers, b.fallbacks) for m, b in found.items()] == [
        ("A", 3, 5, 0, 5),
        ("B", 2, 5, 5, 0),
        ("C", 3, 5, 3, 2),
    ]
    # The organ's wrong answer is used all the same: only an answer that is no program is replaced.
    assert (found["C"].fallback_wins, found["B"].fallback_wins) == (("b/2",), ())
    assert [(b.organs_used, b.reported) for b in found.values()] == [
        ((), ("big",)),
        (("organ-digest",), ("organ-digest",)),
        (("organ-digest",), ("big", "organ-digest")),
    ]
    assert [run.verdict for run in report.runs] == [None, "VALID", None]
    flips = {(f.before.value, f.after.value): (f.lost, f.gained) for f in report.flips}
    assert flips == {
        ("A", "B"): (("b/1", "b/2"), ("b/0",)),
        ("A", "C"): (("b/1",), ("b/0",)),
        ("B", "C"): ((), ("b/2",)),
    }
    # Each model answered once.
    assert organ.asked == fallback.asked == list(TASKS)
    assert ModeReport.model_validate_json(report_path(tmp_path / "o.jsonl").read_bytes()) == report
    assert found["C"].tokens == len(RIGHT) * 3 + len(WRONG) + len(NONE)


def test_in_mode_c_alone_the_fallback_is_asked_only_where_it_is_needed(tmp_path: Path) -> None:
    organ, fallback = Canned("small", ORGAN), Canned("big", FALLBACK)
    found = by_mode(bench(tmp_path / "o.jsonl", [Mode.ORGAN_WITH_FALLBACK], organ, fallback))
    assert fallback.asked == ["b/2", "b/3"]
    assert (found["C"].won, found["C"].fallbacks) == (3, 2)
    rows = [json.loads(line) for line in samples_path(tmp_path / "o.jsonl").read_text("utf-8").splitlines()]
    assert [row["fallback"] for row in rows] == [False, False, True, True, False]


@pytest.mark.parametrize(
    ("reported", "why"),
    [
        ({"fallback": True}, "valid-mode: bench.fallbacks is 5"),
        ({"handler": "planner"}, "valid-route: bench.foreign is 5"),
        ({"handler": "fallback"}, "valid-route: bench.foreign is 5"),
    ],
)
def test_a_b_run_in_which_another_answered_is_invalid_and_names_it(
    tmp_path: Path, reported: dict[str, object], why: str
) -> None:
    leaky = Canned("leaky", ORGAN, lambda text: Reply.model_validate({"text": text, **reported}))
    report = bench(tmp_path / "o.jsonl", [Mode.ORGAN_ALONE], leaky, None)
    found = by_mode(report)["B"]
    assert (report.is_invalid, report.runs[0].verdict, found.organs_used, found.organ_answers) == (
        True,
        "INVALID",
        (),
        0,
    )
    assert any(line.startswith(why) for line in found.invalid)
    assert found.foreign == ({"planner": 5} if reported == {"handler": "planner"} else {})
    assert found.tokens is None


def test_a_run_that_was_cut_goes_on_from_the_answers_it_had(tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    first = bench(out, list(Mode), Canned("small", ORGAN), Canned("big", FALLBACK))
    (tmp_path / "o.C.jsonl").unlink()
    (tmp_path / "o.C.samples.jsonl").unlink()
    organ, fallback = Canned("small", ORGAN), Canned("big", FALLBACK)
    again = bench(out, list(Mode), organ, fallback)
    assert organ.asked == fallback.asked == []
    assert by_mode(again) == by_mode(first)
    assert again.runs[0].generated_s is None


@pytest.mark.parametrize("change", ["mode", "model", "sampling"])
def test_answers_of_something_else_are_not_taken_for_these(tmp_path: Path, change: str) -> None:
    out, organ = tmp_path / "o.jsonl", Canned("small", ORGAN)
    bench(out, [Mode.ORGAN_ALONE], organ, None)
    mode = Mode.FALLBACK_ALONE if change == "mode" else Mode.ORGAN_ALONE
    other = Canned("other", ORGAN) if change == "model" else organ
    sampling = Sampling(temperature=0.5) if change == "sampling" else Sampling()
    with pytest.raises(UserError, match="these answers are to something else"):
        bench(out, [mode], other, organ, sampling)


def test_a_server_that_fails_leaves_no_answers_and_no_results(tmp_path: Path) -> None:
    class Away(Canned):
        def answer(self, *_: object) -> Answers:
            raise ServerError("http://h/v1", "away")

    with pytest.raises(ServerError):
        bench(tmp_path / "o.jsonl", [Mode.ORGAN_ALONE], Away("x", {}), None)
    assert not list(tmp_path.iterdir())


def test_each_sample_falls_back_by_itself(tmp_path: Path) -> None:
    texts = iter([RIGHT, NONE] * len(TASKS))
    organ = Canned("small", {})
    organ.answer = lambda tasks, sampling, on_progress: Answers(  # type: ignore[method-assign]
        {t.task_id: [Reply(text=next(texts)) for _ in range(2)] for t in tasks}, "x"
    )
    sampling = Sampling(samples=2, temperature=0.5)
    found = by_mode(bench(tmp_path / "o.jsonl", [Mode.ORGAN_WITH_FALLBACK], organ, Canned("big", FALLBACK), sampling))[
        "C"
    ]
    assert (found.samples, found.organ_answers, found.fallbacks, found.won) == (10, 5, 5, 5)
