"""Worlds in which no pass could be accepted end the run before any training, in plain words; others are tried."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from builders import make_rule
from fakes import RecordingReporter
from theatre import first_half, jobs_of, learns_everything, small_theatre, small_world
from typer.testing import CliRunner

from autosurgeon.cli.main import app
from autosurgeon.cli.run import _loop
from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.task import Split, Task
from autosurgeon.errors import ExitCode
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import run
from autosurgeon.loop.search.obstacles_from_files import counted_by_route, read_outlook
from autosurgeon.loop.search.obstacles_measured import obstacles_now
from autosurgeon.loop.search.propose import propose_next
from autosurgeon.policy.schema import Policy, Rule

ROUTED = {"stdin_route": "organ"}


def only(*splits: Split) -> dict[str, Task]:
    return {task_id: task for task_id, task in small_world().items() if task.split in splits and task.bench == "b"}


def without(split: Split) -> dict[str, Task]:
    return only(*(other for other in Split if other != split))


def without_references() -> dict[str, Task]:
    return {task_id: task.model_copy(update={"reference": None}) for task_id, task in small_world().items()}


def solves(wins: str) -> Callable[[int, str], bool]:
    known = {"none": False, "all": True}
    return lambda generation, task_id: known[wins] if wins in known else first_half(task_id)


def theatre(root: Path, tasks: dict[str, Task], wins: str = "half", **settings: Any) -> Any:
    return small_theatre(root, solves(wins), tasks=tasks, lab=settings.pop("lab", ROUTED), **settings)


def with_answers(ins: Instruments) -> Instruments:
    """The scripted model answers from references that the loop may not have."""
    ins.capsules.tasks = small_world()  # type: ignore[attr-defined]
    return ins


@pytest.mark.parametrize(
    ("tasks", "wins", "words"),
    [
        (small_world(), "none", "the base wins none of the 16 tasks, so there is no win to guard"),
        (small_world(), "all", "no failure is left to learn from among the 7 tasks that can be training rows"),
    ],
    ids=["no wins", "nothing fails"],
)
def test_what_the_base_shows_ends_the_run_once_it_is_measured_and_before_any_training(
    tmp_path: Path, tasks: dict[str, Task], wins: str, words: str
) -> None:
    with theatre(tmp_path, tasks, wins, passes=9) as ins:
        with pytest.raises(typer.Exit) as ended:
            _loop(with_answers(ins))
        assert ended.value.exit_code == ExitCode.BRAKED
        last = ins.store.last_run()
        assert last is not None
        assert (last.end_reason, last.passes_done, ins.store.passes()) == ("hopeless", 0, [])
        assert (last.end_detail or "").startswith(words)
        assert not any(isinstance(job, TrainJob) for job in jobs_of(ins))
        assert isinstance(ins.reporter, RecordingReporter)
        assert any(line.startswith("end: hopeless") and words in line for line in ins.reporter.lines)
    shown = CliRunner().invoke(app, ["status", "--workspace", str(tmp_path)]).stdout
    assert f"ended: hopeless: {words}" in shown
    status = json.loads(CliRunner().invoke(app, ["status", "--json", "--workspace", str(tmp_path)]).stdout)
    assert status["budget"]["end_detail"].startswith(words)


@pytest.mark.parametrize(
    ("tasks", "lab", "words"),
    [
        (without(Split.GATE), ROUTED, "no task of a bench that counts is in the gate split"),
        (without(Split.CANARY), ROUTED, "no task of a bench that counts is in the canary split"),
        (without(Split.SURGERY), ROUTED, "no task of a bench that counts is in the surgery split"),
        (without_references(), ROUTED, "none of the 7 tasks of the surgery split has a reference"),
        ({t: one for t, one in small_world().items() if one.bench == "leak"}, {}, "no bench counts"),
    ],
    ids=["no gate", "no canary", "no surgery", "no references", "all leak"],
)
def test_what_the_files_show_ends_the_run_before_any_compute(
    tmp_path: Path, tasks: dict[str, Task], lab: dict[str, str], words: str
) -> None:
    with theatre(tmp_path, tasks, lab=lab) as ins:
        assert run(ins) == "hopeless"
        assert jobs_of(ins) == []
        last = ins.store.last_run()
        assert last is not None
        assert (last.end_detail or "").startswith(words)


def test_a_split_without_dev_tasks_is_a_note_and_its_passes_are_tried(tmp_path: Path) -> None:
    tasks = without(Split.DEV)
    with small_theatre(tmp_path, learns_everything, tasks=tasks, lab=ROUTED) as ins:
        outlook = read_outlook(ins.settings, ins.policy, ins.tasks, counted_by_route(ins.tasks, ins.dispatcher), None)
        assert (outlook.obstacles, "dev split" in outlook.notes[0]) == ((), True)
        assert run(ins) == "passes"
        assert ins.store.get_pass(1).state == PassState.CONFIRMED


def test_a_world_in_which_nothing_is_learned_is_tried_and_held(tmp_path: Path) -> None:
    with theatre(tmp_path, small_world()) as ins:
        assert run(ins) == "passes"
        record = ins.store.get_pass(1)
        assert (record.state, "real-gain: gate.net is 0" in record.reason) == (PassState.HELD, True), record.reason


def test_a_run_ends_once_live_has_won_all_that_could_be_gained(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything, passes=9) as ins:
        assert run(ins) == "hopeless"
        last = ins.store.last_run()
        assert last is not None
        assert (last.passes_done, ins.store.get_pass(1).state) == (1, PassState.CONFIRMED)
        assert "the live pack" in (last.end_detail or "")


def by_policy(policy: Policy, *added: dict[str, Any], without: tuple[str, ...] = ()) -> Policy:
    """The policy with rules added and taken away."""
    kept = tuple(rule for rule in policy.rules if rule.id not in without)
    return policy.model_copy(update={"rules": (*kept, *map(Rule.model_validate, added))})


def now(ins: Instruments, policy: Policy) -> list[str]:
    return [str(one) for one in obstacles_now(dataclasses.replace(ins, policy=policy), read_baseline(ins))]


def test_a_policy_that_wants_no_guarded_win_may_try_a_base_that_wins_nothing(tmp_path: Path) -> None:
    with theatre(tmp_path, small_world(), "none") as ins:
        wanting = make_rule("smoked", "smoke.tried", phase="smoke", at_least=0, otherwise="hold")
        assert now(ins, by_policy(ins.policy, wanting, without=("anchors-were-smoked",))) == []
        (found,) = now(ins, ins.policy)
        assert "anchors-were-smoked: wanted smoke.tried at_least 1" in found


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (make_rule("r", "slice.c.gate.net", at_least=0), "bench 'c' has no task in 'gate' that counts"),
        (make_rule("r", "merge.kl_nf4", phase="merge", at_most=1), "the organ is not quantized while it trains"),
        (make_rule("r", "gate.net", at_least=4), "the base fails only 3 of the 6 gate tasks"),
        (make_rule("r", "smoke.tried", phase="smoke", at_least=99), "only"),
        (make_rule("r", "recipe.mix", phase="proposal", equals="union"), "every recipe has recipe.mix = poison"),
        (make_rule("r", "budget.passes", phase="proposal", at_most=0), "the next pass is number 1"),
        (make_rule("r", "data.rows", phase="proposal", at_least=500), "only"),
        ({"expr": "total.gained >= 8"}, "the base fails only 7 of the 16 counted tasks"),
        ({"expr": "total.p_luck <= budget.alpha * 1e-60"}, "the base fails only 7"),
    ],
    ids=lambda one: one.get("fact", one.get("expr")) if isinstance(one, dict) else "",
)
def test_any_rule_that_no_pass_can_meet_is_found_by_what_is_known(
    tmp_path: Path, rule: dict[str, Any], words: str
) -> None:
    content = {"id": "r", "phase": "promotion", "otherwise": "hold", "lesson": "because"} | rule
    with theatre(tmp_path, small_world()) as ins:
        (found,) = now(ins, by_policy(ins.policy, content))
        assert (found.startswith(words), " (r: wanted " in found) == (True, True), found


@pytest.mark.parametrize(
    "rule",
    [
        make_rule("r", "merge.kl_nf4", phase="merge", at_most=1, when={"fact": "recipe.quantization", "equals": "nf4"}),
        make_rule("r", "gate.net", at_least=3),
        make_rule("r", "gate.net", at_least=99, mode="audit"),
        make_rule("r", "slice.b.gate.net", at_least=1),
        {"expr": "total.gained >= 7 || gate.net > 100.0"},
        {"expr": "total.p_luck <= budget.alpha * 0.001"},
    ],
    ids=lambda rule: rule.get("fact", rule.get("expr")),
)
def test_a_rule_that_some_pass_could_meet_is_no_obstacle(tmp_path: Path, rule: dict[str, Any]) -> None:
    content = {"id": "r", "phase": "promotion", "otherwise": "hold", "lesson": "because"} | rule
    with theatre(tmp_path, small_world()) as ins:
        assert now(ins, by_policy(ins.policy, content)) == []


def test_where_live_fails_nothing_that_can_be_a_row_the_base_is_proposed(tmp_path: Path) -> None:
    def knows(generation: int, task_id: str) -> bool:
        return first_half(task_id) or bool(generation and ("surgery" in task_id or task_id == "b/gate-1"))

    with small_theatre(tmp_path, knows) as ins:
        assert run(ins) == "passes"
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        assert [propose_next(ins, read_baseline(ins)).parent for _ in range(2)] == ["base", "base"]
    search = {"parents": ["live"]}
    with small_theatre(tmp_path, knows, search=search) as ins:
        assert run(ins) == "hopeless"
