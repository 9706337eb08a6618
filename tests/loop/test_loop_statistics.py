"""Alpha, retries, the Ladder, early ends and the self-test, in passes with a scripted model and all else real."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from builders import make_recipe
from fakes import ScriptedCapsules
from theatre import GainsTwoByLuck, first_half, jobs_of, learns_everything, learns_most, small_theatre, wide_world

from autosurgeon.config import shipped
from autosurgeon.core.decision import Verdict
from autosurgeon.core.jobs import CompareJob, GenerateJob, TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.stage_results import AnchorsResult, SmokeResult
from autosurgeon.core.value import Value
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.decide.alpha_budget import before_the_look, cost_of_look
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import begin_pass, run
from autosurgeon.loop.stages.bench_pack import bench_pack
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.promotion import promotion_facts
from autosurgeon.stats.alpha import AlphaBudget


def evidence_of(ins: Instruments, phase: str) -> dict[str, object]:
    decided = [d.judgement for d in ins.store.decisions(1) if d.judgement and d.judgement.phase == phase]
    return dict(decided[0].evidence)


def test_a_look_is_paid_for_once_and_the_next_one_costs_less(tmp_path: Path) -> None:
    with small_theatre(tmp_path, lambda generation, task_id: first_half(task_id), passes=2) as ins:
        run(ins)
        looks = ins.store.looks()
        assert [look.look for look in looks] == [1, 2]
        assert looks[0].spent > looks[1].spent
        assert looks[0].left == pytest.approx(0.05 - looks[0].spent)
        assert ins.store.decisions(2)[-1].alpha == looks[1]


def test_the_budget_begins_anew_with_a_pass_that_went_live_and_held_and_not_with_one_that_was_reverted(
    tmp_path: Path,
) -> None:
    first, second = AlphaBudget(total=0.05).spend()[0], AlphaBudget(total=0.05, looks=1).spend()[0]
    with small_theatre(tmp_path / "held", learns_everything) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        following = cost_of_look(ins, 2)
        assert following.look == 2
        assert following.spent == pytest.approx(first)
        assert before_the_look(ins).left == pytest.approx(0.05)

    def worse_on_the_canary(generation: int, task_id: str) -> bool:
        return (generation > 0 and "canary" not in task_id) or (not generation and first_half(task_id))

    with small_theatre(tmp_path / "reverted", worse_on_the_canary) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.REVERTED
        assert cost_of_look(ins, 2).spent == pytest.approx(second)


def test_a_pass_that_is_cut_after_it_paid_does_not_pay_again(tmp_path: Path) -> None:
    class PowerCut(BaseException):
        """Ends the process where it stands."""

    def cut(job: Value) -> None:
        if isinstance(job, GenerateJob) and ins.store.looks():
            raise PowerCut

    with small_theatre(tmp_path, learns_everything, before=cut) as ins, pytest.raises(PowerCut):
        run(ins)
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        assert [look.look for look in ins.store.looks()] == [1]


def test_a_pass_that_never_looked_spends_no_alpha(tmp_path: Path) -> None:
    def forgets(generation: int, task_id: str) -> bool:
        return first_half(task_id) and not generation

    with small_theatre(tmp_path, forgets) as ins:
        run(ins)
        decision = ins.store.decisions(1)[-1]
        assert ins.store.looks() == []
        assert decision.alpha is not None
        assert decision.alpha.spent == 0
        assert decision.alpha.left == pytest.approx(0.05)


def test_a_gain_that_luck_explains_is_held(tmp_path: Path) -> None:
    with small_theatre(tmp_path, GainsTwoByLuck()) as ins:
        run(ins)
        record = ins.store.get_pass(1)
        assert record.state == PassState.HELD
        assert "gain-is-no-luck" in record.reason
        assert ins.store.decisions(1)[-1].gained == ("b/gate-1", "b/gate-3")
        facts = evidence_of(ins, "promotion")
        assert (facts["total.gained"], facts["total.gained_confirmed"], facts["total.p_luck"]) == (2, 0, 1.0)


def test_two_gains_that_samples_of_both_packs_bear_out_are_no_luck(tmp_path: Path) -> None:
    def two_more(generation: int, task_id: str) -> bool:
        return first_half(task_id) or (generation > 0 and task_id in ("b/gate-1", "b/gate-3"))

    with small_theatre(tmp_path, two_more) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        assert evidence_of(ins, "promotion")["total.gained_confirmed"] == 2


def test_each_look_samples_gains_with_random_numbers_of_its_own_and_both_packs_with_the_same(tmp_path: Path) -> None:
    jobs: list[GenerateJob] = []

    def note(job: Value) -> None:
        jobs.extend([job] if isinstance(job, GenerateJob) else [])

    def gains_when_greedy(generation: int, task_id: str) -> bool:
        return first_half(task_id) or (generation > 0 and task_id == "b/gate-1" and jobs[-1].samples == 1)

    with small_theatre(tmp_path, gains_when_greedy, before=note, passes=2) as ins:
        run(ins)
    sampled = [job for job in jobs if job.samples > 1 and "/pass-" in str(job.prompts)]
    assert len(sampled) == 4
    assert sampled[0].seed == sampled[1].seed != sampled[2].seed == sampled[3].seed


def test_an_anchor_that_passes_on_a_retry_ends_nothing_and_its_flake_is_kept(tmp_path: Path) -> None:
    tries = 0

    def flickers(generation: int, task_id: str) -> bool:
        nonlocal tries
        if generation and task_id == "b/gate-2":
            tries += 1
            return tries > 1
        return learns_everything(generation, task_id)

    with small_theatre(tmp_path, flickers) as ins:
        run(ins)
        facts = evidence_of(ins, "smoke")
        assert (facts["smoke.lost"], facts["smoke.flaky"]) == (0, 1)
        assert [(run.tries, run.passed) for run in ins.store.anchor_runs() if run.is_flaky] == [(2, 1)]
        assert ins.store.get_pass(1).state == PassState.CONFIRMED


def test_a_lost_anchor_is_tried_as_often_as_the_settings_say(tmp_path: Path) -> None:
    def forgets(generation: int, task_id: str) -> bool:
        return task_id != "b/gate-2" if generation else first_half(task_id)

    with small_theatre(tmp_path, forgets, anchors={"retries": 2}) as ins:
        run(ins)
        assert ins.store.get_pass(1).reason.endswith("smoke.lost is 1, wanted at_most 0: b/gate-2")
        assert {run.tries for run in ins.store.anchor_runs() if not run.passed} == {3}


def test_a_smoke_ends_at_the_first_batch_with_a_loss_and_its_order_is_written_down(tmp_path: Path) -> None:
    def forgets(generation: int, task_id: str) -> bool:
        return first_half(task_id) and not generation

    with small_theatre(tmp_path, forgets, organ={"generate_batch_rows": 1}) as ins:
        run(ins)
        smoked = ins.store.stage_result("pass-0001", SmokeResult)
        assert smoked is not None
        assert evidence_of(ins, "smoke")["smoke.tried"] == 1
        assert smoked.lost == smoked.order[:1]
        assert sorted(smoked.order) != list(smoked.order) or len(smoked.order) < 2


def test_a_bench_that_is_lost_beyond_doubt_ends_early_and_the_pass_is_refused(tmp_path: Path) -> None:
    forgot = False

    def forgets_the_gate(generation: int, task_id: str) -> bool:
        return first_half(task_id) and not (forgot and "gate" in task_id)

    tasks = wide_world(gate=40)
    with small_theatre(tmp_path, forgets_the_gate, tasks=tasks, organ={"generate_batch_rows": 16}) as ins:
        standing = read_baseline(ins)._replace(anchors=())
        record = begin_pass(ins, make_recipe(), standing, ins.policy)
        forgot = True
        trial = bench_pack(ins, record, standing, standing.live, ins.policy, {})
        assert trial.stopped
        assert 16 <= len(trial.pack) < 45
        facts = promotion_facts(trial) | {"budget.alpha": trial.alpha}
        judgement = judge(ins.policy, "promotion", facts)
        assert judgement.verdict == Verdict.REJECT
        assert judgement.reason.startswith("losing-beyond-doubt#1")
        again = bench_pack(ins, record, standing, standing.live, ins.policy, {})
        assert (again.pack, again.order, again.stopped) == (trial.pack, trial.order, True)
        looked = ins.store.envelopes(standing.live, "pass-0001/bench")
        assert list(looked) == [task for task in trial.order if task in looked]


def test_the_proposer_sees_a_climb_and_not_the_same_wins_again(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_most, passes=2) as ins:
        run(ins)
        values = [record.feedback.value for record in ins.store.passes() if record.feedback]
        assert values[0] == 1.0
        assert values[1:] in ([0.0], [None])


def test_a_pack_that_is_not_what_was_trained_is_held_before_it_is_benched(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        assert isinstance(ins.capsules, ScriptedCapsules)
        ins.capsules.compared = ins.capsules.compared.model_copy(update={"kl": 0.2, "flips": 4})
        run(ins)
        record = ins.store.get_pass(1)
        assert record.state == PassState.HELD
        assert "merge-is-faithful" in record.reason
        assert not ins.store.is_committed("pass-0001", "bench")
        assert sum(isinstance(job, CompareJob) for job in jobs_of(ins)) == 1


def test_hidden_anchors_are_no_rows_and_are_smoked(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything, anchors={"hidden_share": 0.5}) as ins:
        run(ins)
        noted = ins.store.stage_result("pass-0001", AnchorsResult)
        smoked = ins.store.stage_result("pass-0001", SmokeResult)
        assert noted is not None and smoked is not None
        assert noted.hidden
        assert set(noted.hidden) <= set(smoked.order)
        assert not set(noted.hidden) & set(ins.store.trained_rows(["pass-0001"])["pass-0001"])


def test_a_gate_that_fails_its_self_test_is_shut_and_ends_the_run(tmp_path: Path) -> None:
    file = tmp_path / "open.yaml"
    bd62 = shipped("policies", "bd62.yaml")
    ids = [rule.id for rule in load_policy(bd62).rules if rule.phase == "promotion" and rule.id != "all-tasks-ran"]
    out = "".join(f"  - {{id: {rule_id}, disabled: true}}\n" for rule_id in ids)
    file.write_text(f"schema: autosurgeon.policy/1\nname: open\ninclude: [{bd62}]\nrules:\n{out}", encoding="utf-8")
    with small_theatre(tmp_path / "w", learns_everything, passes=3) as ins:
        assert run(dataclasses.replace(ins, policy=load_policy(file))) == "gate"
        record = ins.store.get_pass(1)
        assert (record.state, record.verdict) == (PassState.HELD, Verdict.INVALID)
        assert "live held against itself was accepted as a gain" in record.reason
        assert len(ins.store.passes()) == 1
        assert not any(isinstance(job, TrainJob) for job in jobs_of(ins))


def test_every_decision_has_its_packs_its_cost_and_the_digest_of_its_evidence(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        decisions = [d for d in ins.store.decisions(1) if d.judgement]
        assert all(d.evidence_digest and d.packs["live"] and d.cost and d.power for d in decisions)
        promoted = next(d for d in decisions if d.action == "promote")
        assert promoted.packs["candidate"] == promoted.pack
        assert len(promoted.gained) == 6
        assert promoted.cost is not None
        assert promoted.cost.trained_tokens > 0
        assert ins.store.policy(promoted.judgement.policy_digest if promoted.judgement else "") is not None


def test_a_refusal_states_what_the_rest_would_have_cost_once_a_pass_went_all_the_way(tmp_path: Path) -> None:
    def then_forgets(generation: int, task_id: str) -> bool:
        return learns_most(generation, task_id) if generation < 2 else False

    with small_theatre(tmp_path, then_forgets, passes=2) as ins:
        run(ins)
        last = ins.store.decisions(2)[-1]
        assert last.judgement is not None
        assert last.judgement.verdict != Verdict.ACCEPT
        assert last.avoided is not None
        assert last.avoided.seconds > 0
