"""Racing: a bad adapter is refused after a few answers, and nothing is run that cannot change the outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from night import knows, story_tasks
from theatre import first_half, learns_everything, small_theatre, wide_world

from autosurgeon.cli.simulate_fed import Again, run_again
from autosurgeon.core.jobs import MergeJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.task import Split
from autosurgeon.core.value import Value
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import run

RACING = {"racing": True}


def output_of(ins: Instruments, stage: str, number: int = 1) -> dict[str, Any]:
    outputs = {one.name: one.output for one in ins.store.stage_outputs(f"pass-{number:04d}")}
    return outputs.get(stage, {})


def evidence_of(ins: Instruments, phase: str) -> dict[str, object]:
    decided = [d.judgement for d in ins.store.decisions(1) if d.judgement and d.judgement.phase == phase]
    return dict(decided[0].evidence)


class OnceMerged:
    """What was trained does as it learned until it is packed, and forgets some tasks then."""

    def __init__(self, forgets: Callable[[str], bool]) -> None:
        self._forgets, self._packed = forgets, False

    def before(self, job: Value) -> None:
        self._packed |= isinstance(job, MergeJob)

    def __call__(self, generation: int, task_id: str) -> bool:
        if generation and self._packed and self._forgets(task_id):
            return False
        return learns_everything(generation, task_id)


def test_an_adapter_that_forgot_everything_is_refused_after_eight_answers_and_the_retries_of_one(
    tmp_path: Path,
) -> None:
    def forgets(generation: int, task_id: str) -> bool:
        return first_half(task_id) and not generation

    with small_theatre(tmp_path, forgets, tasks=wide_world(), levers=RACING) as ins:
        run(ins)
        facts = evidence_of(ins, "smoke")
        assert (facts["smoke.tried"], facts["smoke.lost"]) == (8, 1)
        assert ins.store.get_pass(1).state == PassState.REJECTED
        tries = sorted(anchor.tries for anchor in ins.store.anchor_runs())
        assert tries == [1] * 7 + [1 + ins.settings.anchors.retries]
        output = output_of(ins, "smoke")
        assert output["lost"] == output["order"][:1]
        assert len(output["order"]) > 20


def test_anchors_that_pass_when_they_are_tried_again_are_all_tried_again(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    def flickers(generation: int, task_id: str) -> bool:
        asked[task_id] += generation > 0
        return learns_everything(generation, task_id) and asked[task_id] != 1

    with small_theatre(tmp_path, flickers, tasks=wide_world(), levers=RACING) as ins:
        run(ins)
        facts = evidence_of(ins, "smoke")
        assert (facts["smoke.lost"], facts["smoke.flaky"]) == (0, facts["smoke.tried"])
        assert facts["smoke.tried"] == len(output_of(ins, "smoke")["order"]) > 8


def test_the_anchor_that_the_last_candidate_lost_is_the_first_of_the_next_smoke(tmp_path: Path) -> None:
    def forgets_one(generation: int, task_id: str) -> bool:
        return task_id != "b/gate-26" if generation else first_half(task_id)

    with small_theatre(tmp_path, forgets_one, tasks=wide_world(), passes=3, levers=RACING) as ins:
        run(ins)
        assert [output_of(ins, "smoke", number)["order"][0] for number in (2, 3)] == ["b/gate-26"] * 2
        assert len(ins.store.last_anchor_runs(["b/gate-26"], 9)["b/gate-26"]) == 3


def test_a_pack_that_gained_nothing_on_the_gate_is_held_without_surgery_and_the_search_learns_from_dev(
    tmp_path: Path,
) -> None:
    with small_theatre(tmp_path, lambda _, task_id: first_half(task_id), levers=RACING) as ins:
        run(ins)
        record = ins.store.get_pass(1)
        assert record.state == PassState.HELD
        assert record.reason.startswith("real-gain: gate.net is 0, wanted at_least 1; ")
        assert record.feedback is not None
        assert record.feedback.value == 0.0
        assert record.pack is not None
        ran = ins.store.envelopes(record.pack, "pass-0001/bench")
        assert {ins.tasks[task].split for task in ran} == {Split.GATE, Split.DEV}
        assert output_of(ins, "bench")["stopped"] == "real-gain"
        assert not output_of(ins, "confirm")


def test_one_win_that_the_packed_file_lost_ends_its_bench_and_rejects_it(tmp_path: Path) -> None:
    model = OnceMerged(lambda task_id: "gate" in task_id and task_id[-1] == "2")
    organ = {"generate_batch_rows": 16}
    with small_theatre(tmp_path, model, before=model.before, tasks=wide_world(), organ=organ, levers=RACING) as ins:
        run(ins)
        record = ins.store.get_pass(1)
        assert record.state == PassState.REJECTED
        assert "no-anchor-lost: anchors.lost is 1, wanted at_most 0: b/gate-" in record.reason
        assert output_of(ins, "bench")["stopped"] == "no-anchor-lost"
        assert output_of(ins, "bench")["tasks"] <= 32
        assert not output_of(ins, "confirm")


def test_a_pack_whose_whole_bench_refuses_it_is_not_sampled(tmp_path: Path) -> None:
    model = OnceMerged(lambda task_id: task_id == "b/surgery-2")
    with small_theatre(tmp_path, model, before=model.before, levers=RACING) as ins:
        run(ins)
        record = ins.store.get_pass(1)
        assert record.state == PassState.REJECTED
        assert "no-anchor-lost" in record.reason
        assert output_of(ins, "bench").get("stopped") is None
        assert not output_of(ins, "confirm")
        assert not output_of(ins, "distance")


def test_of_many_gains_as_many_are_sampled_as_make_luck_unlikely(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything, tasks=wide_world(), levers=RACING) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        facts = evidence_of(ins, "promotion")
        assert facts["total.gained"] == 26
        assert output_of(ins, "confirm")["sampled"] == 12
        luck = facts["total.p_luck"]
        assert isinstance(luck, float)
        assert luck <= ins.store.looks()[0].spent


def test_a_night_of_racing_comes_out_again_as_it_was(tmp_path: Path) -> None:
    with small_theatre(tmp_path, knows, passes=4, tasks=story_tasks(), levers=RACING) as ins:
        run(ins)
        assert len({record.state for record in ins.store.passes()}) > 1
        assert run_again(ins.store, ins.workspace.root, ins.settings, ins.tasks) == Again([], None)
