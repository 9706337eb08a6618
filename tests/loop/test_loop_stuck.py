"""Passes in a row that one rule ends for one cause are a standstill with a name, on which a setting acts."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from builders import make_policy, make_rule
from fakes import RecordingReporter
from test_loop_notify import wait_for_deliveries
from theatre import first_half, learns_everything, small_theatre, small_world
from typer.testing import CliRunner

from autosurgeon.cli.main import app
from autosurgeon.cli.run import _loop
from autosurgeon.core.decision import Evidence
from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.value import Value
from autosurgeon.errors import CapsuleError, ExitCode
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.limits import Limits
from autosurgeon.loop.engine.stop_requests import ask, asked, paused
from autosurgeon.loop.pass_reports import read_campaign_report, sources_of
from autosurgeon.loop.run_passes import run
from autosurgeon.loop.stuck import cause_in, describe_stuck, is_unjudged, read_row
from autosurgeon.policy.judge import judge
from autosurgeon.policy.schema import Rule
from autosurgeon.sections import LoopSettings

Knows = Callable[[int, str], bool]
NAME = "anchor-wins-kept by b/gate-2"


def forgets(*lost: str) -> Knows:
    """Whatever was trained fails these tasks."""
    return lambda generation, task_id: first_half(task_id) and not (generation and task_id in lost)


def forgets_by_turns(*turns: tuple[str, ...]) -> Knows:
    """The first training fails the first of these, and so on; the last of them is every later training's."""

    def knows(generation: int, task_id: str) -> bool:
        lost = turns[min(generation, len(turns)) - 1] if generation else ()
        return first_half(task_id) and task_id not in lost

    return knows


def theatre(root: Path, knows: Knows, **changes: Any) -> Any:
    loop = {"min_free_mib": 0, "ballast_mib": 0, "attempts": 1} | changes.pop("loop", {})
    return small_theatre(root, knows, passes=changes.pop("passes", 9), loop=loop, **changes)


def row_of(ins: Instruments) -> tuple[str, int] | None:
    row = read_row(ins.store, ins.settings.loop)
    return None if row is None else (str(row.cause), row.passes)


def output_of(ins: Instruments) -> str:
    assert isinstance(ins.reporter, RecordingReporter)
    return "\n".join(ins.reporter.lines)


def test_five_equal_rejections_end_the_run_by_a_name_that_status_report_and_notification_have(tmp_path: Path) -> None:
    book = tmp_path / "book"
    book.mkdir()
    command = ("sh", "-c", f"cat > {book}/$$")
    with theatre(tmp_path / "w", forgets("b/gate-2"), notify={"command": command}) as ins:
        with pytest.raises(typer.Exit) as ended:
            _loop(ins)
        assert ended.value.exit_code == ExitCode.BRAKED
        assert [record.state for record in ins.store.passes()] == [PassState.REJECTED] * 5
        last = ins.store.last_run()
        assert last is not None
        assert (last.end_reason, last.end_detail, last.passes_done) == ("stuck", NAME, 5)
        lines = output_of(ins).splitlines()
        assert f"stuck: {NAME}: 5 passes in a row ended by this rule for this cause" in lines
        assert any(line.startswith("end: ") and line.endswith(f": {NAME}") for line in lines)
        assert read_campaign_report(sources_of(ins)).stuck.startswith(f"stuck: {NAME}: 5 passes")
        wait_for_deliveries()
    documents = [json.loads(file.read_text()) for file in book.iterdir()]
    (stuck,) = [one for one in documents if one["event"] == "stuck"]
    assert (stuck["pass"], stuck["detail"], NAME in stuck["reason"]) == (5, NAME, True)
    (end,) = [one for one in documents if one["event"] == "end"]
    assert (end["reason"], end["detail"]) == ("stuck", NAME)
    where = ["--workspace", str(tmp_path / "w")]
    status = json.loads(CliRunner().invoke(app, ["status", "--json", *where]).stdout)
    assert (status["stuck"]["name"], status["stuck"]["cause"], status["stuck"]["passes"]) == (NAME, ["b/gate-2"], 5)
    shown = CliRunner().invoke(app, ["status", *where]).stdout
    assert f"ended: stuck: {NAME}" in shown
    assert f"stuck: {NAME}: 5 passes in a row" in shown
    assert NAME in CliRunner().invoke(app, ["report", "campaign", *where]).stdout


def test_a_run_that_is_started_again_continues_the_row_and_tries_a_pass_before_it_ends(tmp_path: Path) -> None:
    loop = {"stuck_passes": 2}
    with theatre(tmp_path, forgets("b/gate-2"), passes=1, loop=loop) as ins:
        assert run(ins) == "passes"
    for passes in (2, 3):
        with theatre(tmp_path, forgets("b/gate-2"), loop=loop) as ins:
            assert run(ins) == "stuck"
            assert row_of(ins) == (NAME, passes)
    with theatre(tmp_path, learns_everything, passes=1, loop=loop) as ins:
        assert run(ins) == "passes"
        assert ins.store.get_pass(4).state == PassState.CONFIRMED
        assert row_of(ins) is None
        assert describe_stuck(ins.store, ins.settings.loop) is None


def test_another_cause_interrupts_the_row_and_the_anchors_in_common_are_the_cause(tmp_path: Path) -> None:
    turns = [("b/gate-2",), ("b/gate-4",), ("b/dev-2", "b/gate-2"), ("b/gate-0", "b/gate-2"), ("b/gate-2",)]
    with theatre(tmp_path, forgets_by_turns(*turns), loop={"stuck_passes": 3}) as ins:
        assert run(ins) == "stuck"
        assert row_of(ins) == (NAME, 3)
        assert len(ins.store.passes()) == 5


def test_a_pass_that_the_world_failed_neither_adds_to_a_row_nor_ends_it(tmp_path: Path) -> None:
    trainings = 0

    def fail_the_second(job: Value) -> None:
        nonlocal trainings
        if isinstance(job, TrainJob):
            trainings += 1
            if trainings == 2:
                raise CapsuleError("crash", "exit code 1")

    with theatre(tmp_path, forgets("b/gate-2"), before=fail_the_second, loop={"stuck_passes": 2}) as ins:
        assert run(ins) == "stuck"
        assert [record.state.value for record in ins.store.passes()] == ["REJECTED", "FAILED", "REJECTED"]


def test_by_the_setting_a_standstill_is_only_named_each_time_that_so_many_more_are_reached(tmp_path: Path) -> None:
    loop = {"stuck_passes": 2, "on_stuck": "none"}
    with theatre(tmp_path, forgets("b/gate-2"), passes=4, loop=loop) as ins:
        assert run(ins) == "passes"
        assert [line for line in output_of(ins).splitlines() if line.startswith("stuck")] == [
            f"stuck: {NAME}: {count} passes in a row ended by this rule for this cause" for count in (2, 4)
        ]
        for passes, is_stuck in ((0, False), (4, True), (5, False)):
            row = describe_stuck(ins.store, LoopSettings(stuck_passes=passes))
            assert (row is not None) == is_stuck


def test_a_row_of_passes_that_gained_too_little_is_named_and_the_run_goes_on(tmp_path: Path) -> None:
    with theatre(tmp_path, forgets(), passes=2, loop={"stuck_passes": 1, "failures_in_a_row": 1}) as ins:
        assert run(ins) == "passes"
        assert [record.state for record in ins.store.passes()] == [PassState.HELD] * 2
        # They were weighed, so they are no failures either.
        assert not any(is_unjudged(ins.store, record) for record in ins.store.passes())
        row = describe_stuck(ins.store, ins.settings.loop)
        assert row is not None
        assert (row["name"], row["passes"], row["then"]) == ("real-gain by gate.net", 2, "none")


def test_by_the_setting_a_standstill_pauses_the_run_until_a_person_resumes_it(tmp_path: Path) -> None:
    loop = {"stuck_passes": 1, "on_stuck": "pause"}
    with theatre(tmp_path, forgets("b/gate-2"), passes=2, loop=loop) as ins:
        thread = threading.Thread(target=run, args=(ins,))
        thread.start()
        deadline = time.monotonic() + 30
        while (waiting := paused(ins.workspace)) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert waiting is not None
        assert NAME in waiting.by
        assert len(ins.store.passes()) == 1
        ask(ins.workspace, "run", "mia", None)
        thread.join(30)
        assert len(ins.store.passes()) == 2
        # The pass that was asked for last reached the standstill once more; a run that is over pauses nothing.
        word = asked(ins.workspace)
        assert word is not None
        assert word.word == "run"


def test_rejections_before_any_training_are_a_standstill_too(tmp_path: Path) -> None:
    tasks = small_world()
    twin = tasks["b/surgery-1"].reference
    tasks["b/gate-1"] = tasks["b/gate-1"].model_copy(update={"reference": twin})
    search = {"poison_share": {"low": 1, "high": 1}}
    with theatre(tmp_path, forgets(), tasks=tasks, search=search, loop={"stuck_passes": 2}) as ins:
        assert run(ins) == "stuck"
        assert ins.capsules.trained == 0
        name, passes = row_of(ins) or ("", 0)
        assert (name.startswith("no-contamination by b/surgery-1"), passes) == (True, 2)


def held_for(rule: dict[str, Any], ins: Instruments) -> Instruments:
    """The same instruments with one rule more."""
    rules = (*ins.policy.rules, Rule.model_validate(rule))
    return dataclasses.replace(ins, policy=ins.policy.model_copy(update={"rules": rules}))


def test_passes_that_are_held_for_want_of_a_fact_count_as_failures_in_a_row(tmp_path: Path) -> None:
    wanting = make_rule("anchors-are-near", "training.kl_anchors", phase="training", at_most=1, otherwise="hold")
    with theatre(tmp_path, learns_everything, loop={"failures_in_a_row": 2}) as bare:
        ins = held_for(wanting, bare)
        assert run(ins) == "failures"
        assert [record.state for record in ins.store.passes()] == [PassState.HELD] * 2
        assert all(is_unjudged(ins.store, record) for record in ins.store.passes())
        assert row_of(ins) == ("anchors-are-near by training.kl_anchors (missing)", 2)


@pytest.mark.parametrize(
    ("evidence", "name"),
    [
        ({"merge.tokens": 9, "merge.kl": 3.0}, "faithful by merge.kl"),
        ({"merge.tokens": 9}, "faithful by merge.kl (missing)"),
        ({"merge.kl": 0.05}, "faithful by merge.tokens (missing)"),
        ({"merge.kl": 3.0}, "faithful by merge.kl"),
    ],
)
def test_the_cause_is_the_fact_of_the_clause_that_failed_before_one_that_is_missing(
    evidence: Evidence, name: str
) -> None:
    rule = {"id": "faithful", "phase": "merge", "otherwise": "hold", "lesson": "because"}
    policy = make_policy(rule | {"expr": "merge.tokens >= 1 && merge.kl <= 0.1"})
    assert str(cause_in(judge(policy, "merge", evidence))) == name


def test_evidence_that_is_not_known_to_be_any_has_a_cause_too() -> None:
    policy = make_policy(make_rule("gain", "gate.net", at_least=1, otherwise="hold"))
    judgement = judge(policy, "promotion", {"gate.net": 3, "bench.tasks": 9})
    assert str(cause_in(judgement)) == "valid-conditions by bench.same_conditions (missing)"


def test_a_run_counts_unjudged_passes_and_failures_in_one_row() -> None:
    loop, brakes = LoopSettings(failures_in_a_row=2), Limits()
    for state, unjudged in ((PassState.HELD, True), (PassState.HELD, False), (PassState.FAILED, True)):
        brakes.count_pass(state, unjudged=unjudged)
        assert brakes.end_reason(1, loop) is None
    brakes.count_pass(PassState.REVERTED, unjudged=True)
    assert brakes.end_reason(1, loop) == "failures"
