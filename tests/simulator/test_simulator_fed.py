"""The simulator, fed a recorded loop's task results, makes that loop's decisions again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import program
import pytest
from builders import make_decision, make_record
from fakes import ScriptedCapsules
from night import knows, story_tasks
from theatre import GainsTwoByLuck, first_half, learns_everything, small_theatre

from autosurgeon.cli.simulate_fed import Again, run_again
from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.person import Person
from autosurgeon.core.value import Value
from autosurgeon.errors import CapsuleError, UserError
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import run
from autosurgeon.loop.stages.salvage_rungs import rungs_of
from autosurgeon.simulator.agreement import differences


def again(ins: Instruments) -> Again:
    return run_again(ins.store, ins.workspace.root, ins.settings, ins.tasks)


def test_every_decision_of_a_night_with_every_end_comes_out_as_it_was(tmp_path: Path) -> None:
    failures = iter((True,))

    def dies_once(job: Value) -> None:
        if isinstance(job, TrainJob) and next(failures, False):
            raise CapsuleError("killed", "by the story")

    with small_theatre(tmp_path, knows, before=dies_once, passes=4, tasks=story_tasks()) as ins:
        run(ins)
        states = [record.state for record in ins.store.passes()]
        assert {PassState.REJECTED, PassState.HELD, PassState.REVERTED, PassState.CONFIRMED} <= set(states)
        assert again(ins) == Again([], None)


def test_a_pass_that_the_world_failed_fails_again_and_the_next_proposal_is_the_same(tmp_path: Path) -> None:
    def dies(job: Value) -> None:
        if isinstance(job, TrainJob) and "pass-0001" in job.rows.parts:
            raise CapsuleError("hung", "for ever")

    with small_theatre(tmp_path, learns_everything, before=dies, passes=3) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.FAILED
        assert again(ins) == Again([], None)


def test_a_night_on_the_salvage_ladder_comes_out_as_it_was(tmp_path: Path) -> None:
    def forgets(generation: int, task_id: str) -> bool:
        if generation and task_id == "b/gate-2":
            return generation == 52
        return first_half(task_id) or (generation > 0 and task_id in ("b/gate-1", "b/gate-3"))

    levers = {"salvage": ["scale:1", "average:1", "scale:0.8", "scale:0.5", "intruders"]}
    with small_theatre(tmp_path, forgets, passes=2, levers=levers) as ins:
        assert isinstance(ins.capsules, ScriptedCapsules)
        ins.capsules.reshaped = lambda generation, job: generation + round(100 * job.factor) % 100
        run(ins)
        assert [record.state for record in ins.store.passes()] == [PassState.REJECTED, PassState.CONFIRMED]
        assert [len(rungs_of(ins.store, number)) for number in (1, 2)] == [5, 4]
        assert again(ins) == Again([], None)


def test_a_gain_by_luck_that_samples_did_not_bear_out_is_held_again(tmp_path: Path) -> None:
    with small_theatre(tmp_path, GainsTwoByLuck(), passes=2) as ins:
        run(ins)
        assert ins.store.is_committed("pass-0001", "confirm")
        assert again(ins) == Again([], None)


def test_a_loop_that_decides_otherwise_is_reported_with_the_facts_that_differ() -> None:
    before = make_decision("d-1", evidence={"training.loss": 0.5, "budget.hours": 1.0})
    after = make_decision("d-1", evidence={"training.loss": 0.5, "budget.hours": 2.0})
    assert differences([before], [after], ([], [])) == []
    worse = make_decision("d-1", evidence={"training.loss": -1.0})
    found = {difference.what for difference in differences([before], [worse], ([], []))}
    assert {"training.loss", "verdict", "rule loss"} <= found
    ends = differences([], [], ([make_record(1)], [make_record(1, lr=0.5), make_record(2)]))
    assert {difference.decision for difference in ends} == {"pass 1", "pass 2"}


def test_settings_of_another_run_are_refused_by_name(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        other = ins.settings.model_copy(update={"seed": 5})
        with pytest.raises(UserError, match=r"pass 1 .*settings \[seed\].*--seed"):
            run_again(ins.store, ins.workspace.root, other, ins.tasks)


def test_what_a_person_had_a_word_in_is_refused(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        with pytest.raises(UserError, match="no pass"):
            again(ins)
        run(ins)
        ins.store.quarantine("b/gate-0", "odd", Person(login="somebody"), "2999-01-01T00:00:00+00:00")
        with pytest.raises(UserError, match="depend on an act of a person"):
            again(ins)


@pytest.mark.slow  # two real passes of the lab
def test_every_decision_of_a_real_lab_night_comes_out_as_it_was(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "autosurgeon", "run", "--passes", "3", "--seed", "7", "-w", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=1200)
    done = program.autosurgeon("simulate", "--fed-by", tmp_path, "--seed", 7)
    assert done.returncode == 0, done.stdout
    assert "of 3 passes repeated: all as recorded" in done.stdout
    assert program.autosurgeon("simulate", "--fed-by", tmp_path).returncode == 0  # the workspace's own seed
    assert program.autosurgeon("simulate", "--fed-by", tmp_path, "--seed", 8).returncode == 2
