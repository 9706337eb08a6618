"""A pass through the loop, with a scripted model and everything else real."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from builders import make_rule
from theatre import first_half, jobs_of, learns_everything, small_theatre

from autosurgeon.core.jobs import GenerateJob, MergeJob, TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.value import Value
from autosurgeon.errors import CapsuleError
from autosurgeon.loop.run_passes import run
from autosurgeon.policy.schema import Rule
from autosurgeon.workspace_status import read_status


def test_a_pass_that_gains_and_loses_nothing_goes_live_and_is_confirmed(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        assert run(ins) == "passes"
        record = ins.store.get_pass(1)
        assert record.state == PassState.CONFIRMED
        live = ins.store.live()
        assert live is not None
        assert (live.version, live.pack) == (2, record.pack)
        assert record.feedback is not None
        assert record.feedback.value == 1  # dev has three tasks, of which the base solves two


def test_live_json_names_the_live_pack_and_its_folder(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        content = json.loads(ins.workspace.live_file.read_text())
        assert content["version"] == 2
        assert (ins.workspace.live_file.parent / content["folder"] / "model.safetensors").is_file()


def test_the_first_lost_anchor_ends_the_pass_before_the_merge(tmp_path: Path) -> None:
    def forgets(generation: int, task_id: str) -> bool:
        return task_id != "b/gate-2" if generation else first_half(task_id)

    with small_theatre(tmp_path, forgets) as ins:
        run(ins)
        record = ins.store.get_pass(1)
        assert record.state == PassState.REJECTED
        assert "anchor-wins-kept" in record.reason
        assert not any(isinstance(job, MergeJob) for job in jobs_of(ins))
        assert record.feedback is not None
        assert record.feedback.violations == {"anchor-wins-kept": 1.0}
        assert record.feedback.value is None


def test_a_pass_without_a_gain_on_the_gate_is_held_and_live_stays(tmp_path: Path) -> None:
    with small_theatre(tmp_path, lambda generation, task_id: first_half(task_id)) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.HELD
        live = ins.store.live()
        assert live is not None
        assert live.version == 1


def test_a_pack_that_is_good_on_the_gate_and_bad_on_the_canary_is_reverted(tmp_path: Path) -> None:
    def fools_the_gate(generation: int, task_id: str) -> bool:
        return "canary" not in task_id if generation else first_half(task_id)

    with small_theatre(tmp_path, fools_the_gate) as ins:
        run(ins)
        record = ins.store.get_pass(1)
        assert record.state == PassState.REVERTED
        assert [(v.version, v.pack == record.pack) for v in ins.store.live_history()] == [
            (1, False),
            (2, True),
            (3, False),
        ]
        revert = ins.store.decisions(1)[-1]
        assert revert.action == "revert"
        assert revert.judgement is not None
        assert "canary-holds" in revert.reason
        assert record.feedback is not None
        assert record.feedback.violations == {"canary-holds": 2.0}
        assert json.loads(ins.workspace.live_file.read_text())["version"] == 3


def test_a_live_pack_that_cannot_be_watched_is_reverted(tmp_path: Path) -> None:
    def break_the_watch(job: Value) -> None:
        if isinstance(job, GenerateJob) and "watch" in str(job.prompts):
            raise CapsuleError("killed", "by the test")

    with small_theatre(tmp_path, learns_everything, before=break_the_watch) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.REVERTED
        live = ins.store.live()
        assert live is not None
        assert live.version == 3


def test_a_leaking_bench_is_no_target_and_its_failures_are_no_rows(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        status = read_status(ins.store)
        assert "2 of 2 answers came from another handler" in status["excluded"]["leak"]
        assert status["wins"]["live"]["leak"]["all"]["wins"] == 0
        rows = (ins.workspace.stage("pass-0001", "dataset") / "rows.jsonl").read_text().splitlines()
        assert {json.loads(row)["bench"] for row in rows} == {"b"}


def test_a_repaired_route_makes_the_bench_a_target_again_in_the_same_workspace(tmp_path: Path) -> None:
    with small_theatre(tmp_path, lambda generation, task_id: first_half(task_id)) as ins:
        run(ins)
    with small_theatre(tmp_path, lambda generation, task_id: first_half(task_id), lab={"stdin_route": "organ"}) as ins:
        run(ins)
        assert read_status(ins.store)["excluded"] == {}
        assert read_status(ins.store)["wins"]["base"]["leak"]["all"] == {"wins": 1, "tasks": 2}


def test_no_row_ever_comes_from_a_held_out_split(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        rows = (ins.workspace.stage("pass-0001", "dataset") / "rows.jsonl").read_text().splitlines()
        assert {json.loads(row)["split"] for row in rows} == {"surgery"}


@pytest.mark.parametrize(("share", "reaches"), [(0.25, ["loss-floor", "narrow-and-far"]), (1.0, [])])
def test_a_stop_rule_reaches_the_capsule_where_its_when_holds(tmp_path: Path, share: float, reaches: list[str]) -> None:
    with small_theatre(tmp_path, learns_everything, search={"anchor_share": {"low": share, "high": share}}) as ins:
        run(ins)
        job = next(job for job in jobs_of(ins) if isinstance(job, TrainJob))
        assert [rule.rule_id for rule in job.stop_rules] == reaches


def test_a_bound_on_the_way_from_the_parent_reaches_the_capsule_too_unless_it_is_in_audit(tmp_path: Path) -> None:
    content = make_rule("far", "training.kl", phase="training", at_most=0.1, otherwise="stop")
    far = Rule.model_validate(content)
    audited = Rule.model_validate(content | {"id": "audited", "mode": "audit"})
    with small_theatre(tmp_path, learns_everything) as ins:
        policy = ins.policy.model_copy(update={"rules": (*ins.policy.rules, far, audited)})
        run(dataclasses.replace(ins, policy=policy))
        job = next(job for job in jobs_of(ins) if isinstance(job, TrainJob))
        bounds = {rule.rule_id: (rule.fact, rule.at_least, rule.at_most) for rule in job.stop_rules}
        assert bounds == {"far": ("training.kl", None, 0.1)}


def test_every_decision_of_the_store_stands_in_the_log_once(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything, passes=3) as ins:
        run(ins)
        lines = [json.loads(line) for line in ins.workspace.decisions.read_text().splitlines()]
        assert [line["decision_id"] for line in lines] == [d.decision_id for d in ins.store.decisions()]


def test_canary_tasks_of_a_candidate_are_never_run_before_it_is_live(tmp_path: Path) -> None:
    with small_theatre(tmp_path, lambda generation, task_id: first_half(task_id)) as ins:
        run(ins)
        pack = ins.store.get_pass(1).pack
        assert pack is not None
        assert not any("canary" in task_id for task_id in ins.store.envelopes(pack))


@pytest.mark.parametrize("verb", [TrainJob, GenerateJob, MergeJob])
def test_a_capsule_that_dies_once_costs_its_stage_and_no_more(tmp_path: Path, verb: type[Value]) -> None:
    deaths: list[Value] = []

    def die_once(job: Value) -> None:
        if isinstance(job, verb) and not deaths:
            deaths.append(job)
            raise CapsuleError("killed", "by signal 9")

    with small_theatre(tmp_path, learns_everything, before=die_once) as ins:
        run(ins)
        assert len(deaths) == 1
        assert ins.store.get_pass(1).state == PassState.CONFIRMED


def test_a_world_that_keeps_failing_fails_the_pass_and_does_not_judge_the_recipe(tmp_path: Path) -> None:
    def no_training(job: Value) -> None:
        if isinstance(job, TrainJob):
            raise CapsuleError("memory", "17.0 GiB resident")

    with small_theatre(tmp_path, learns_everything, before=no_training, passes=10) as ins:
        assert run(ins) == "failures"
        passes = ins.store.passes()
        assert [record.state for record in passes] == [PassState.FAILED] * 3
        assert all(record.feedback is not None and record.feedback.failed for record in passes)
        assert len([stage for stage in ins.store.stages("pass-0001") if stage.error]) == 3


def test_a_pack_that_holds_stays_live_though_its_predecessor_is_damaged(tmp_path: Path) -> None:
    def damage_the_base(job: Value) -> None:
        if isinstance(job, GenerateJob) and "watch" in str(job.prompts):
            base = ins.store.live_history()[0].pack
            (ins.packs.path(base) / "model.safetensors").write_bytes(b"")

    with small_theatre(tmp_path, learns_everything, before=damage_the_base) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
