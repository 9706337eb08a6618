"""The salvage ladder in passes with a scripted model: what is tried before a candidate is given up, and its price."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from math import pi
from pathlib import Path
from typing import Any

import pytest
from builders import make_recipe
from fakes import ScriptedCapsules
from theatre import first_half, jobs_of, learns_everything, small_theatre, wide_world
from typer.testing import CliRunner

from autosurgeon.audit.verify import verify
from autosurgeon.cli.main import app
from autosurgeon.core.jobs import Checkpoint, GenerateJob, MergeJob, ReshapeJob, TrainJob, TrainResult
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.value import Value
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import begin_pass, finish_pass, run
from autosurgeon.loop.stages.salvage_rungs import rungs_of


class PowerCut(BaseException):
    """Ends the process where it stands."""


def by_percent(generation: int, job: ReshapeJob) -> int:
    """At a factor of 0.5, generation 1 is 51; an average is 1 more for each that it is of, the others' states alike."""
    return generation + (round(100 * job.factor) if job.method != "average" else len(job.adapters))


def climbing(ins: Instruments, reshaped: Callable[[int, ReshapeJob], int] = by_percent) -> Instruments:
    assert isinstance(ins.capsules, ScriptedCapsules)
    ins.capsules.reshaped = reshaped
    return ins


def loses_an_anchor_unless(*kept: int) -> Callable[[int, str], bool]:
    """What was trained solves two gate tasks more; it lost an anchor, but for some generations."""

    def knows(generation: int, task_id: str) -> bool:
        if generation and task_id == "b/gate-2":
            return generation in kept
        return first_half(task_id) or (generation > 0 and task_id in ("b/gate-1", "b/gate-3"))

    return knows


def evidence_of(ins: Instruments, phase: str, number: int = 1) -> dict[str, Any]:
    (judged,) = [d.judgement for d in ins.store.decisions(number) if d.judgement and d.judgement.phase == phase]
    return dict(judged.evidence)


def price(look: int) -> float:
    return 0.05 * 6 / (pi * look) ** 2


def test_a_candidate_that_loses_an_anchor_and_keeps_it_at_half_its_scale_goes_live_at_half(tmp_path: Path) -> None:
    levers = {"salvage": ["scale:0.8", "scale:0.5", "lines:0.2"]}
    with small_theatre(tmp_path, loses_an_anchor_unless(51), levers=levers) as ins:
        run(climbing(ins))
        record = ins.store.get_pass(1)
        assert record.state == PassState.CONFIRMED
        facts = evidence_of(ins, "smoke")
        assert {name: facts[name] for name in facts if name.startswith("salvage")} == {
            "salvage.tried": 2,
            "salvage.rung": "scale:0.5",
            "salvage.lost": 1,
        }
        assert (facts["smoke.lost"], facts["training.loss"]) == (0, 0.5)
        assert record.pack is not None
        assert ins.packs.verify(record.pack).lineage.salvage == "scale:0.5"
        assert (ins.packs.path(record.pack) / "model.safetensors").read_bytes()[-2:] == (51).to_bytes(2, "little")
        # One training; each variant smoked on an occasion of its own, on the anchors that were no rows.
        assert sum(isinstance(job, TrainJob) for job in jobs_of(ins)) == 1
        occasions = {run.occasion for run in ins.store.anchor_runs()}
        assert {"pass-0001-adapter", "pass-0001-salvage-1", "pass-0001-salvage-2"} <= occasions
        assert "pass-0001-salvage-3" not in occasions
        rungs = rungs_of(ins.store, 1)
        assert [(rung.rung, rung.lost, rung.held) for rung in rungs] == [
            ("scale:0.8", ("b/gate-2",), False),
            ("scale:0.5", (), True),
        ]


def test_the_report_and_pass_show_say_which_rungs_were_tried_what_each_lost_and_which_was_taken(tmp_path: Path) -> None:
    levers = {"salvage": ["average:1", "scale:0.8", "scale:0.5"]}
    with small_theatre(tmp_path, loses_an_anchor_unless(51), levers=levers) as ins:
        run(climbing(ins))
        page = (ins.workspace.reports / "pass-0001.md").read_text()
        html = (ins.workspace.reports / "pass-0001.html").read_text()
    assert "The trained adapter lost 1 anchors" in page
    assert re.search(r"\| `scale:0\.8` \| \d+ \| b/gate-2 \| given up \|", page.replace("\\", ""))
    assert re.search(r"\| `scale:0\.5` \| \d+ \| none \| taken as the pass's adapter \|", page)
    assert "skipped: no adapter of this parent went live and stayed" in html
    shown = CliRunner().invoke(app, ["pass", "show", "1", "--workspace", str(tmp_path)], env={"COLUMNS": "250"})
    assert "taken as the pass's adapter" in shown.output
    shown = json.loads(CliRunner().invoke(app, ["pass", "show", "1", "-w", str(tmp_path), "--json"]).output)
    assert [rung["held"] for rung in shown["salvage"]] == [False, False, True]
    assert {"salvage-1", "salvage-2", "salvage-3"} <= shown["costs"].keys()


def test_where_no_rung_holds_the_pass_is_refused_for_what_the_adapter_lost_as_it_was_trained(tmp_path: Path) -> None:
    with small_theatre(tmp_path, loses_an_anchor_unless(), levers={"salvage": ["scale:0.5", "lines:0.2"]}) as ins:
        run(climbing(ins))
        record = ins.store.get_pass(1)
        assert record.state == PassState.REJECTED
        assert "anchor-wins-kept" in record.reason
        facts = evidence_of(ins, "smoke")
        assert (facts["salvage.tried"], facts["salvage.rung"], facts["salvage.lost"]) == (2, "none", 1)
        assert facts["smoke.lost_names"] == ("b/gate-2",)
        assert not any(isinstance(job, MergeJob) for job in jobs_of(ins))
        # No look was taken at the benches, so no alpha was spent.
        assert ins.store.looks() == []
        alpha = ins.store.decisions(1)[-1].alpha
        assert alpha is not None
        assert (alpha.look, alpha.spent) == (0, 0.0)
        assert alpha.left == pytest.approx(0.05)


def test_an_adapter_that_loses_nothing_comes_to_no_rung(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything, levers={"salvage": ["scale:0.5"]}) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        facts = evidence_of(ins, "smoke")
        assert (facts["salvage.tried"], facts["salvage.rung"], facts["salvage.lost"]) == (0, "none", 0)
        assert not any(isinstance(job, ReshapeJob) for job in jobs_of(ins))
        assert [look.look for look in ins.store.looks()] == [1]


def test_each_rung_that_was_smoked_uses_up_a_look_and_the_pass_pays_the_least_of_them(tmp_path: Path) -> None:
    levers = {"salvage": ["scale:1", "scale:0.8", "scale:0.5"]}
    with small_theatre(tmp_path, loses_an_anchor_unless(51, 2), passes=2, tasks=wide_world(), levers=levers) as ins:
        # At a factor of 1 nothing changes: such a rung is no candidate, and costs nothing.
        run(climbing(ins, lambda generation, job: by_percent(generation, job) if job.factor < 1 else generation))
        assert [bool(rung.skipped) for rung in rungs_of(ins.store, 1)] == [True, False, False]
        first, second = ins.store.looks()
        assert first.look == 3
        assert first.spent == pytest.approx(price(3))
        assert first.left == pytest.approx(0.05 - price(1) - price(2) - price(3))
        assert evidence_of(ins, "promotion")["budget.alpha"] == first.spent
        # The next pass goes on counting from there, with a new budget, since the first one went live and held.
        assert second.look == 4
        assert second.spent == pytest.approx(price(1))
        before = next(d.alpha for d in ins.store.decisions(2) if d.alpha)
        assert (before.look, before.spent) == (3, 0.0)
        assert before.left == pytest.approx(0.05)


def test_every_rung_is_an_event_of_a_whole_chain_and_has_its_cost(tmp_path: Path) -> None:
    levers = {"salvage": ["average:1", "scale:0.8", "scale:0.5"]}
    with small_theatre(tmp_path, loses_an_anchor_unless(51), levers=levers) as ins:
        run(climbing(ins))
        names = [stage.name for stage in ins.store.stages("pass-0001")]
        at = names.index("smoke")
        assert names[at : at + 5] == ["smoke", "salvage-1", "salvage-2", "salvage-3", "merge"]
        stages = {json.loads(event.payload)["stage"] for event in ins.store.each_event() if event.kind == "stage"}
        assert {"salvage-1", "salvage-2", "salvage-3"} <= stages
        assert verify(ins.workspace, ins.store).whole
        rungs = rungs_of(ins.store, 1)
        assert rungs[0].skipped == "no adapter of this parent went live and stayed"
        assert evidence_of(ins, "smoke")["salvage.tried"] == 2


@pytest.mark.parametrize("verb", [ReshapeJob, GenerateJob, MergeJob])
def test_a_pass_that_is_cut_on_the_ladder_goes_on_there_and_ends_as_if_it_was_not(
    tmp_path: Path, verb: type[Value]
) -> None:
    levers, knows = {"salvage": ["scale:0.8", "scale:0.5"]}, loses_an_anchor_unless(51)

    def cut(job: Value) -> None:
        where = str(job.prompts) if isinstance(job, GenerateJob) else "salvage-2"
        if isinstance(job, verb) and "salvage-2" in where and rungs_of(ins.store, 1):
            raise PowerCut

    with small_theatre(tmp_path, knows, before=cut, levers=levers) as ins, pytest.raises(PowerCut):
        run(climbing(ins))
    with small_theatre(tmp_path, knows, levers=levers) as ins:
        run(climbing(ins))
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        assert not any(isinstance(job, TrainJob) for job in jobs_of(ins))
        again = [job for job in jobs_of(ins) if isinstance(job, ReshapeJob)]
        assert [job.factor for job in again] == ([] if verb is MergeJob else [0.5])
        assert [look.look for look in ins.store.looks()] == [3]
        assert verify(ins.workspace, ins.store).whole


def test_an_adapter_that_was_chosen_and_is_gone_is_made_again(tmp_path: Path) -> None:
    levers, knows = {"salvage": ["scale:0.5"]}, loses_an_anchor_unless(51)

    def cut(job: Value) -> None:
        if isinstance(job, MergeJob):
            raise PowerCut

    with small_theatre(tmp_path, knows, before=cut, levers=levers) as ins, pytest.raises(PowerCut):
        run(climbing(ins))
    (tmp_path / "data/passes/pass-0001/salvage-1/reshape/adapter/adapter_model.safetensors").unlink()
    with small_theatre(tmp_path, knows, levers=levers) as ins:
        run(climbing(ins))
        assert ins.store.get_pass(1).state == PassState.CONFIRMED


class KeepsStates(ScriptedCapsules):
    """Trainings that keep two states on the way: generations 11 and 12."""

    def _train(self, job: TrainJob, workdir: Path) -> TrainResult:
        result = super()._train(job, workdir)
        for number in (1, 2):
            (workdir / f"checkpoint-{number}").mkdir(exist_ok=True)
            (workdir / f"checkpoint-{number}" / "adapter_model.safetensors").write_text(str(10 + number))
        kept = tuple(Checkpoint(adapter=f"checkpoint-{n}", epochs=n / 4, loss=0.5) for n in (1, 2))
        return result.model_copy(update={"checkpoints": kept})


def test_earlier_states_of_the_training_are_rungs_of_their_own_the_newest_first(tmp_path: Path) -> None:
    knows = loses_an_anchor_unless(11)
    with small_theatre(tmp_path, knows, levers={"salvage": ["checkpoints", "scale:0.5"]}) as given:
        ins = dataclasses.replace(given, capsules=KeepsStates(dict(given.tasks), knows))
        run(ins)
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        assert [rung.rung for rung in rungs_of(ins.store, 1)] == ["checkpoint:0.5", "checkpoint:0.25"]
        assert not any(isinstance(job, ReshapeJob) for job in jobs_of(ins))
        assert evidence_of(ins, "smoke")["salvage.rung"] == "checkpoint:0.25"
        assert [look.look for look in ins.store.looks()] == [3]


def test_where_a_training_kept_no_states_there_is_no_such_rung(tmp_path: Path) -> None:
    with small_theatre(tmp_path, loses_an_anchor_unless(), levers={"salvage": ["checkpoints"]}) as ins:
        run(ins)
        assert rungs_of(ins.store, 1) == ()
        assert ins.store.get_pass(1).state == PassState.REJECTED


def test_an_average_is_with_what_went_live_of_the_same_parent_and_was_not_taken_back(tmp_path: Path) -> None:
    def knows(generation: int, task_id: str) -> bool:
        if generation == 2 and task_id == "b/gate-2":
            return False
        if generation == 1:
            return first_half(task_id) or task_id == "b/gate-1"
        return learns_everything(generation, task_id)

    with small_theatre(tmp_path, knows, levers={"salvage": ["average:2"]}) as ins:
        for seed in (1, 2):
            standing = read_baseline(ins)
            recipe = make_recipe(parent="base", seed=seed)
            finish_pass(climbing(ins), begin_pass(ins, recipe, standing, ins.policy), standing, ins.policy)
        assert [record.state for record in ins.store.passes()] == [PassState.CONFIRMED] * 2
        (job,) = [job for job in jobs_of(ins) if isinstance(job, ReshapeJob)]
        assert [path.relative_to(tmp_path.resolve() / "data/passes").as_posix() for path in job.adapters] == [
            "pass-0002/train/adapter",
            "pass-0001/train/adapter",
        ]
        assert evidence_of(ins, "smoke", 2)["salvage.rung"] == "average:2"


def test_what_was_taken_back_is_no_company_for_an_average(tmp_path: Path) -> None:
    def knows(generation: int, task_id: str) -> bool:
        if generation == 1:
            return "canary" not in task_id
        return first_half(task_id) and not (generation and task_id == "b/gate-2")

    with small_theatre(tmp_path, knows, passes=2, levers={"salvage": ["average:2"]}) as ins:
        run(climbing(ins))
        assert [record.state for record in ins.store.passes()] == [PassState.REVERTED, PassState.REJECTED]
        (rung,) = rungs_of(ins.store, 2)
        assert rung.skipped


def test_a_policy_that_refuses_no_loss_has_nothing_to_salvage(tmp_path: Path) -> None:
    with small_theatre(tmp_path, loses_an_anchor_unless(), levers={"salvage": ["scale:0.5"]}) as given:
        rules = [
            rule.model_copy(update={"mode": "audit"}) if rule.fact == "smoke.lost" else rule
            for rule in given.policy.rules
        ]
        ins = dataclasses.replace(given, policy=given.policy.model_copy(update={"rules": tuple(rules)}))
        run(climbing(ins))
        facts = evidence_of(ins, "smoke")
        assert (facts["smoke.lost"], facts["salvage.tried"]) == (1, 0)
