"""A held-out task that stands among the surgery tasks under another name: the pass ends before it trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import make_task
from fakes import RecordingReporter
from theatre import jobs_of, learns_everything, small_theatre, small_world
from typer.testing import CliRunner

from autosurgeon.cli.main import app
from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.task import Split, Task
from autosurgeon.loop.run_passes import run
from autosurgeon.loop.stages.choose_rows import rows_file

GATE = "def solve(x):\n    kept = [n for n in range(x + 1) if n % 7 == 1]\n    return sum(kept) - max(kept) + 1\n"
RENAMED = "def f(q):\n    z = [item for item in range(q + 1) if item % 7 == 1]\n    return sum(z) - max(z) + 1\n"
COMMENTED = '''
# Mine.
def solve(x: int) -> int:
    """It answers."""
    kept = [n for n in range(x + 1)
            if n % 7 == 1]  # only these

    return sum(kept) - max(kept) + 1
'''
LIKE = RENAMED.replace("    return", "    z = list(z)\n    return")
POISON = [f"b/surgery-{number}" for number in (1, 3, 5)]
"""What the base of the small world fails: whatever share of it becomes rows, the twin is among them."""


def contaminated(reference: str) -> dict[str, Task]:
    """The small world, with this program in place of what the base fails of surgery, and a gate task to hold it to."""
    tasks = small_world()
    tasks["b/gate-1"] = tasks["b/gate-1"].model_copy(update={"reference": GATE})
    for task_id in POISON:
        tasks[task_id] = tasks[task_id].model_copy(update={"reference": reference})
    return tasks


@pytest.mark.parametrize("reference", [GATE, RENAMED, COMMENTED], ids=["verbatim", "renamed", "commented"])
def test_a_gate_task_among_the_rows_ends_the_pass_before_it_trains_and_the_pair_is_named(
    tmp_path: Path, reference: str
) -> None:
    with small_theatre(tmp_path, learns_everything, tasks=contaminated(reference)) as ins:
        run(ins)
        record = ins.store.get_pass(1)
        assert record.state == PassState.REJECTED
        assert not any(isinstance(job, TrainJob) for job in jobs_of(ins))
        decision = ins.store.decisions(1)[-1]
        assert "no-contamination" in decision.reason
        assert any(f"{task_id} ~ b/gate-1 (gate, same program)" in decision.reason for task_id in POISON)
        assert decision.judgement is not None
        assert decision.judgement.evidence["data.held_out_rows"] == 0
        assert record.feedback is not None
        assert "no-contamination" in record.feedback.violations
        assert decision.reason in ins.workspace.decisions.read_text()
    shown = CliRunner().invoke(app, ["pass", "show", "1", "-w", str(tmp_path)])
    assert "~ b/gate-1 (gate, same program)" in " ".join(shown.output.split())


def test_a_prompt_that_stands_in_the_canary_is_contamination_whatever_the_answer(tmp_path: Path) -> None:
    tasks = small_world()
    for task_id in POISON:
        tasks[task_id] = tasks[task_id].model_copy(update={"prompt": "  #  CANARY 1.\n"})
    with small_theatre(tmp_path, learns_everything, tasks=tasks) as ins:
        run(ins)
        assert "~ b/canary-1 (canary, same prompt)" in ins.store.get_pass(1).reason


def test_a_family_that_stands_in_two_splits_is_contamination(tmp_path: Path) -> None:
    tasks = small_world()
    for task_id in POISON:
        tasks[task_id] = tasks[task_id].model_copy(update={"cluster": tasks["b/dev-0"].cluster})
    with small_theatre(tmp_path, learns_everything, tasks=tasks) as ins:
        run(ins)
        assert "~ b/dev-0 (dev, same family)" in ins.store.get_pass(1).reason


def test_a_bench_that_does_not_count_is_held_out_all_the_same(tmp_path: Path) -> None:
    tasks = small_world()
    leaked = tasks["leak/1"]
    assert leaked.split == Split.GATE
    for task_id in POISON:
        tasks[task_id] = tasks[task_id].model_copy(update={"reference": leaked.reference})
    with small_theatre(tmp_path, learns_everything, tasks=tasks) as ins:
        run(ins)
        assert "~ leak/1 (gate, same program)" in ins.store.get_pass(1).reason


def test_rows_that_are_only_like_held_out_tasks_are_reported_and_trained_on(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything, tasks=contaminated(LIKE)) as ins:
        run(ins)
        assert ins.store.is_committed("pass-0001", "train")
        judgement = ins.store.decisions(1)[0].judgement
        assert judgement is not None
        assert judgement.evidence["data.held_out_hits"] == 0
        assert judgement.evidence["data.near_hits"] == judgement.evidence["data.poison_rows"]
        assert isinstance(ins.reporter, RecordingReporter)
        assert "rows are like a held-out task, most of all b/surgery-" in " ".join(ins.reporter.lines)


def test_rows_that_were_changed_after_they_were_chosen_are_chosen_again(tmp_path: Path) -> None:
    def stop_before_training(job: object) -> None:
        if isinstance(job, TrainJob):
            raise KeyboardInterrupt

    with (
        small_theatre(tmp_path, learns_everything, before=stop_before_training) as ins,
        pytest.raises(KeyboardInterrupt),
    ):
        run(ins)
    path = rows_file(ins, "pass-0001")
    chosen = path.read_text()
    stray = make_task("b/gate-1", split=Split.GATE, reference=GATE)
    row = json.loads(chosen.splitlines()[0]) | {"prompt": stray.prompt, "completion": stray.reference}
    path.write_text(chosen + json.dumps(row) + "\n")
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        assert path.read_text() == chosen
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
