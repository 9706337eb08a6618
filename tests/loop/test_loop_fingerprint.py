"""A pass is finished under what it was begun under, or a person gives it up; a stage that always kills is set aside."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from builders import make_contract, make_recipe
from fakes import RecordingReporter
from theatre import jobs_of, learns_everything, learns_most, small_theatre, small_world

from autosurgeon.config import Settings
from autosurgeon.core.decision import Verdict
from autosurgeon.core.jobs import CompareJob, GenerateJob, TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.person import Person, current_person
from autosurgeon.core.records import InForce
from autosurgeon.core.stage_results import DatasetResult, TrainStageResult
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.decide.overrides import override
from autosurgeon.loop.engine import fingerprint as contract
from autosurgeon.loop.engine.fingerprint import contract_of, effect_of
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import begin_pass, run
from autosurgeon.policy.schema import Policy


class PowerCut(BaseException):
    """Ends the process where it stands, as far as the loop can see."""


def cut_in_training(job: Value) -> None:
    if isinstance(job, TrainJob):
        raise PowerCut


def leave_open(root: Path, **settings: Any) -> None:
    """A workspace with one pass that was cut in its training."""
    with small_theatre(root, learns_everything, before=cut_in_training, **settings) as ins, pytest.raises(PowerCut):
        run(ins)


def states(ins: Instruments) -> list[PassState]:
    return [record.state for record in ins.store.passes()]


def lines_of(ins: Instruments) -> list[str]:
    assert isinstance(ins.reporter, RecordingReporter)
    return ins.reporter.lines


def another_policy(policy: Policy) -> Policy:
    first, *others = policy.rules
    return policy.model_copy(update={"rules": (first.model_copy(update={"lesson": "Another one."}), *others)})


def test_an_open_pass_goes_on_where_nothing_has_changed(tmp_path: Path) -> None:
    leave_open(tmp_path)
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        assert states(ins) == [PassState.CONFIRMED]


def test_an_open_pass_of_other_code_is_refused_until_a_person_gives_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_open(tmp_path)
    monkeypatch.setattr(contract, "code_digest", lambda: "newer")
    with small_theatre(tmp_path, learns_everything) as ins:
        with pytest.raises(UserError) as refused:
            run(ins)
        assert str(refused.value) == (
            "pass 1 is open in state READY and cannot be finished as it was begun; got changes since then: code; "
            "wanted what it was begun under put back, or `autosurgeon run --supersede`, which gives the pass up"
        )
        assert states(ins) == [PassState.READY]
        runs = ins.store.last_run()
        assert runs is not None
        assert runs.id == 1, "a run that is refused does not begin"
    with small_theatre(tmp_path, learns_everything) as ins:
        assert run(ins, supersede=True, why="upgraded") == "passes"
        assert states(ins) == [PassState.SUPERSEDED, PassState.CONFIRMED]
        login = current_person().words
        assert ins.store.get_pass(1).reason == f"given up by {login}: begun under another contract: code; upgraded"
        assert "abandoned without a verdict" in (ins.workspace.reports / "pass-0001.md").read_text()
        assert ins.store.get_pass(2).recipe != ins.store.get_pass(1).recipe
        (given_up,) = [entry.act for entry in ins.store.acts() if entry.act.act == "supersede"]
        assert (given_up.who, given_up.reason, given_up.pass_number) == (current_person(), "upgraded", 1)
        assert given_up.detail == {"changed": ["code"]}


def test_what_was_put_back_lets_an_open_pass_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_open(tmp_path)
    with monkeypatch.context() as patch, small_theatre(tmp_path, learns_everything) as ins:
        patch.setattr(contract, "code_digest", lambda: "newer")
        with pytest.raises(UserError):
            run(ins)
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        assert states(ins) == [PassState.CONFIRMED]


def test_settings_that_bear_on_results_are_named_where_they_keep_a_pass_from_going_on(tmp_path: Path) -> None:
    leave_open(tmp_path)
    with small_theatre(tmp_path, learns_everything, statistics={"samples": 4}) as ins:
        with pytest.raises(UserError, match=r"since then: settings \[statistics\];"):
            run(ins)
        run(ins, supersede=True)
        reason = f"given up by {current_person().words}: begun under another contract: settings [statistics]"
        assert ins.store.get_pass(1).reason == reason


def test_a_pass_that_could_be_finished_is_given_up_where_a_person_does_so(tmp_path: Path) -> None:
    leave_open(tmp_path)
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins, supersede=True)
        assert states(ins) == [PassState.SUPERSEDED, PassState.CONFIRMED]
        assert "it could have been finished" in ins.store.get_pass(1).reason


def test_where_no_pass_is_open_there_is_none_to_give_up(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins, supersede=True)
        assert states(ins) == [PassState.CONFIRMED]
        assert lines_of(ins)[1] == "no pass is open: --supersede gives nothing up"


def test_an_open_pass_is_finished_under_its_policy_and_seed_and_the_next_begins_under_the_new_ones(
    tmp_path: Path,
) -> None:
    leave_open(tmp_path)
    with small_theatre(tmp_path, learns_most, passes=2, seed=9) as ins:
        before, newer = ins.policy, another_policy(ins.policy)
        ins = dataclasses.replace(ins, policy=newer)
        run(ins)
        contracts = [record.contract for record in ins.store.passes()]
        assert [(one.policy, one.seed) for one in contracts if one] == [(before.digest, 0), (newer.digest, 9)]
        for number, policy in ((1, before), (2, newer)):
            judged = {d.judgement.policy_digest for d in ins.store.decisions(number) if d.judgement}
            assert judged == {policy.digest}
        finished = InForce(policy=before.digest, name="bd62", seed=0).line
        assert f"pass 1 is finished as it was begun: {finished}" in lines_of(ins)


def test_an_open_pass_whose_policy_the_memory_lost_is_refused_under_another_one(tmp_path: Path) -> None:
    from databases import run_sql

    leave_open(tmp_path)
    run_sql(Workspace(tmp_path).database, "DELETE FROM policy")
    with small_theatre(tmp_path, learns_everything) as ins:
        ins = dataclasses.replace(ins, policy=another_policy(ins.policy))
        with pytest.raises(UserError, match=r"since then: policy \(the memory does not keep policy [0-9a-f]{12}\);"):
            run(ins)


def test_an_open_pass_of_the_scenario_whose_rules_only_measure_is_not_finished_by_them(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything, before=cut_in_training) as ins:
        standing = read_baseline(ins)
        begin_pass(ins, make_recipe(), standing, ins.policy.in_audit(watch=True))
        with pytest.raises(UserError, match=r"since then: policy \(a policy has no binding rule for phase 'baseline'"):
            run(ins)


@pytest.mark.parametrize("settings", [{"capsule": {"wall_s": 60}}, {"retention": {"keep_live": 9}}])
def test_settings_that_bear_on_nothing_do_not(tmp_path: Path, settings: dict[str, Any]) -> None:
    leave_open(tmp_path)
    with small_theatre(tmp_path, learns_everything, **settings) as ins:
        run(ins)
        assert states(ins) == [PassState.CONFIRMED]


def test_an_open_pass_of_other_tasks_is_refused(tmp_path: Path) -> None:
    leave_open(tmp_path)
    tasks = small_world()
    tasks["b/gate-9"] = tasks["b/gate-0"].model_copy(update={"task_id": "b/gate-9", "cluster": "b/gate-9"})
    refused = pytest.raises(UserError, match="since then: tasks;")
    with small_theatre(tmp_path, learns_everything, tasks=tasks) as ins, refused:
        run(ins)


def test_an_open_pass_from_before_contracts_is_refused(tmp_path: Path) -> None:
    leave_open(tmp_path)
    with small_theatre(tmp_path, learns_everything) as ins:
        forget_contract(ins)
        with pytest.raises(UserError, match="since then: what it was begun under is not recorded;"):
            run(ins)


def forget_contract(ins: Instruments) -> None:
    from databases import run_sql

    run_sql(ins.workspace.database, 'UPDATE "pass" SET contract = NULL')


def test_a_live_pass_is_watched_by_the_policy_that_it_was_begun_under(tmp_path: Path) -> None:
    """Superseding it would leave an unwatched pack live."""

    def cut_in_the_watch(job: Value) -> None:
        live = ins.store.live()
        if isinstance(job, GenerateJob) and live is not None and live.version == 2:
            raise PowerCut

    with small_theatre(tmp_path, learns_everything, before=cut_in_the_watch) as ins, pytest.raises(PowerCut):
        run(ins)
    with small_theatre(tmp_path, learns_everything) as ins:
        assert states(ins) == [PassState.LIVE]
        begun_under, newer = ins.policy.digest, another_policy(ins.policy)
        object.__setattr__(ins, "policy", newer)
        assert newer.digest != begun_under
        run(ins)
        assert states(ins) == [PassState.CONFIRMED]
        (watched,) = [d.judgement for d in ins.store.decisions(1) if d.judgement and d.judgement.phase == "watch"]
        assert watched.policy_digest == begun_under


def test_a_persons_word_is_carried_out_under_a_newer_policy_too(tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    def learns_nothing(generation: int, task_id: str) -> bool:
        return learns_everything(0, task_id)

    with small_theatre(tmp_path, learns_nothing) as ins:
        run(ins)
        assert states(ins) == [PassState.HELD]
        later = datetime.now(UTC) + timedelta(hours=1)
        override(ins, 1, Verdict.ACCEPT, by=Person(login="me"), reason="a try", expires_at=later)
    with small_theatre(tmp_path, learns_nothing) as ins:
        object.__setattr__(ins, "policy", another_policy(ins.policy))
        run(ins)
        assert states(ins)[0] in (PassState.CONFIRMED, PassState.REVERTED)


def test_a_stage_in_which_the_process_always_dies_is_set_aside_and_the_loop_goes_on(tmp_path: Path) -> None:
    for _ in range(3):
        leave_open(tmp_path, loop={"recoveries": 2, "min_free_mib": 0, "ballast_mib": 0})
    with small_theatre(
        tmp_path, learns_everything, passes=2, loop={"recoveries": 2, "min_free_mib": 0, "ballast_mib": 0}
    ) as ins:
        assert run(ins) == "passes"
        assert states(ins) == [PassState.FAILED, PassState.CONFIRMED]
        assert "the process died 3 times in stage train" in ins.store.get_pass(1).reason


def test_a_stop_and_an_interrupt_are_no_death(tmp_path: Path) -> None:
    def interrupt(job: Value) -> None:
        if isinstance(job, TrainJob):
            raise KeyboardInterrupt

    for _ in range(3):
        with (
            small_theatre(
                tmp_path,
                learns_everything,
                before=interrupt,
                loop={"recoveries": 0, "min_free_mib": 0, "ballast_mib": 0},
            ) as ins,
            pytest.raises(KeyboardInterrupt),
        ):
            run(ins)
    with small_theatre(tmp_path, learns_everything, loop={"recoveries": 0, "min_free_mib": 0, "ballast_mib": 0}) as ins:
        run(ins)
        assert states(ins) == [PassState.CONFIRMED]


def test_a_pass_whose_adapter_came_out_otherwise_when_made_again_has_failed(tmp_path: Path) -> None:
    """What was smoked is gone for ever, so no later stage may speak of another one."""

    def cut_after_the_merge(job: Value) -> None:
        if isinstance(job, CompareJob):
            raise PowerCut

    with small_theatre(tmp_path, learns_everything, before=cut_after_the_merge) as ins, pytest.raises(PowerCut):
        run(ins)
    with small_theatre(tmp_path, learns_everything) as ins:
        (ins.workspace.stage("pass-0001", "train") / "adapter" / "adapter_model.safetensors").unlink()
        ins.capsules.trained = 7  # type: ignore[attr-defined]  # the next training makes other bytes
        run(ins)
        assert any(isinstance(job, TrainJob) for job in jobs_of(ins))
        assert states(ins) == [PassState.FAILED]
        assert "stage smoke was done on what was lost since" in ins.store.get_pass(1).reason


def test_an_effect_is_named_by_all_that_it_follows_from(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        record = ins.store.get_pass(1)
        assert record.contract == contract_of(ins.settings, ins.policy, ins.tasks)
        names = {
            effect_of(ins, "pass-0001", "train", "rows"),
            effect_of(ins, "pass-0001", "train", "other rows"),
            effect_of(ins, "pass-0001", "smoke", "rows"),
            effect_of(ins, "base", "train", "rows"),
        }
        assert len(names) == 4
        rows = ins.store.effect("pass-0001", DatasetResult, "dataset")
        assert rows is not None
        found = ins.store.effect("pass-0001", TrainStageResult, "train")
        assert found is not None
        assert found.effect_id == effect_of(ins, "pass-0001", "train", rows.result.digest)


def test_the_digest_of_the_code_is_of_the_whole_package() -> None:
    names = {path.name for path in contract.PACKAGE.iterdir()}
    assert {"core", "loop", "policy", "capsule", "wiring.py"} <= names


def test_each_part_of_a_contract_that_changes_is_named() -> None:
    before = make_contract(settings={"organ": "1", "lab": "1"})
    after = make_contract(code="d", tasks="u", settings={"organ": "2", "seed": "0"})
    assert before.changed(before) == []
    assert before.changed(after) == ["code", "tasks", "settings [lab]", "settings [organ]", "settings [seed]"]


def test_settings_of_a_contract_are_the_ones_that_results_follow_from() -> None:
    with_policy = Policy.model_validate({"schema": "autosurgeon.policy/1", "name": "p", "rules": []})
    one = contract_of(Settings(), with_policy, {})
    assert set(one.settings) == {"seed", "organ", "levers", "anchors", "statistics", "grading", "lab", "benches"}
    assert one == contract_of(Settings(grading={"workers": 3}), with_policy, {})
    assert one != contract_of(Settings(grading={"cpu_s": 3}), with_policy, {})
