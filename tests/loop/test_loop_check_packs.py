"""Damage at rest: found at the start and now and then, live taken back, what stood on it ended, all written down."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from lineage import base_of, flip_a_byte, make_live, make_pack
from theatre import first_half, learns_everything, small_theatre

from autosurgeon.core.jobs import GenerateJob, TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.value import Value
from autosurgeon.errors import PackError
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import prepare_run, run


def stands_on_base(generation: int, task_id: str) -> bool:
    """No training changes anything, so that nothing is promoted."""
    return first_half(task_id)


def three_versions(ins: Instruments) -> tuple[str, str, str]:
    """Base, then two packs that were made live after it."""
    prepare_run(ins)
    read_baseline(ins)
    one, two = make_pack(ins, 7), make_pack(ins, 8)
    return base_of(ins), make_live(ins, one), make_live(ins, two)


def live_of(ins: Instruments) -> tuple[int, str]:
    live = ins.store.live()
    assert live is not None
    content = json.loads(ins.workspace.live_file.read_text())
    assert (content["version"], content["pack"]) == (live.version, live.pack)
    assert ins.packs.verify(live.pack)
    return live.version, live.pack


def test_a_damaged_live_pack_is_reverted_at_the_start_and_the_decision_states_why(tmp_path: Path) -> None:
    with small_theatre(tmp_path, stands_on_base) as ins:
        _, one, two = three_versions(ins)
        flip_a_byte(ins, two)
    with small_theatre(tmp_path, stands_on_base) as ins:
        prepare_run(ins)
        assert live_of(ins) == (4, one)
        decision = ins.store.decisions()[-1]
        assert (decision.decision_id, decision.action, decision.live_version) == ("revert-v4", "revert", 4)
        assert "the live pack, version 3, is damaged: a pack's file is damaged" in decision.reason
        assert "model.safetensors" in decision.reason
        prepare_run(ins)
        assert live_of(ins) == (4, one)


def test_a_live_pack_that_is_not_there_any_more_is_damage_too(tmp_path: Path) -> None:
    with small_theatre(tmp_path, stands_on_base) as ins:
        _, one, two = three_versions(ins)
        shutil.rmtree(ins.packs.path(two))
        prepare_run(ins)
        assert live_of(ins) == (4, one)


def test_a_damaged_predecessor_is_skipped_and_named(tmp_path: Path) -> None:
    with small_theatre(tmp_path, stands_on_base) as ins:
        base, one, two = three_versions(ins)
        flip_a_byte(ins, one)
        flip_a_byte(ins, two)
        prepare_run(ins)
        assert live_of(ins) == (4, base)
        lines = "\n".join(ins.reporter.lines)  # type: ignore[attr-defined]  # it is a RecordingReporter
        assert f"pack {one[:12]} is damaged" in lines
        assert "version 2 cannot be reverted to" in lines


def test_a_damaged_predecessor_alone_moves_nothing(tmp_path: Path) -> None:
    with small_theatre(tmp_path, stands_on_base) as ins:
        _, one, two = three_versions(ins)
        flip_a_byte(ins, one)
        prepare_run(ins)
        assert live_of(ins) == (3, two)
        assert any("is damaged" in line for line in ins.reporter.lines)  # type: ignore[attr-defined]


def test_where_no_pack_is_whole_the_loop_stops(tmp_path: Path) -> None:
    with small_theatre(tmp_path, stands_on_base) as ins:
        for pack in three_versions(ins):
            flip_a_byte(ins, pack)
        with pytest.raises(PackError, match="no earlier live pack verifies"):
            prepare_run(ins)
        assert ins.store.live_history()[-1].version == 3


def test_a_damaged_parent_ends_the_open_pass_as_failed_and_the_loop_goes_on(tmp_path: Path) -> None:
    def stop_after_training(job: Value) -> None:
        if isinstance(job, TrainJob):
            ins.brakes.stop_requested = True

    with small_theatre(tmp_path, stands_on_base, search={"parents": ["base"]}) as ins:
        _, _, two = three_versions(ins)
    with small_theatre(tmp_path, stands_on_base, before=stop_after_training, search={"parents": ["live"]}) as ins:
        assert run(ins) == "stopped"
        assert ins.store.get_pass(1).parent == two
        flip_a_byte(ins, two)
    with small_theatre(tmp_path, stands_on_base) as ins:
        assert run(ins) == "passes"
        failed, after = ins.store.get_pass(1), ins.store.get_pass(2)
        assert failed.state == PassState.FAILED
        assert failed.reason.startswith(f"its parent, pack {two[:12]}, is damaged")
        assert failed.feedback is not None
        assert failed.feedback.failed
        assert after.state == PassState.HELD
        assert (ins.workspace.reports / "pass-0001.md").is_file()


def test_damage_under_a_running_pass_fails_it_and_live_is_taken_back_before_the_next(tmp_path: Path) -> None:
    damaged: list[str] = []

    def damage_live(job: Value) -> None:
        if isinstance(job, TrainJob) and not damaged:
            damaged.append(ins.store.live_history()[-1].pack)
            flip_a_byte(ins, damaged[0])

    with small_theatre(tmp_path, stands_on_base) as ins:
        _, one, two = three_versions(ins)
    with small_theatre(tmp_path, stands_on_base, before=damage_live, passes=2, search={"parents": ["live"]}) as ins:
        assert run(ins) == "passes"
        assert damaged == [two]
        assert [record.state for record in ins.store.passes()] == [PassState.FAILED, PassState.HELD]
        assert live_of(ins) == (4, one)
        assert ins.store.get_pass(2).parent == one


@pytest.mark.parametrize(("every", "version"), [(1, 4), (10, 3)])
def test_a_long_run_reads_the_live_pack_back_now_and_then(tmp_path: Path, every: int, version: int) -> None:
    trained = 0

    def damage_unseen(job: Value) -> None:
        nonlocal trained
        # While the second pass trains on the base, no other check reads the live pack.
        if isinstance(job, TrainJob):
            trained += 1
            if trained == 1:
                flip_a_byte(ins, ins.store.live_history()[-1].pack)

    def forgets(generation: int, task_id: str) -> bool:
        # Lost in the smoke, before live is compared with.
        return generation in (0, 7, 8) and first_half(task_id)

    with small_theatre(tmp_path, forgets) as ins:
        three_versions(ins)
        # What is live is measured before the damage.
        run(ins)
    loop = {"min_free_mib": 0, "verify_every_passes": every}
    with small_theatre(tmp_path, forgets, before=damage_unseen, search={"parents": ["base"]}, loop=loop) as ins:
        assert run(ins) == "passes"
        assert ins.store.live_history()[-1].version == version


def test_a_pack_that_is_damaged_while_it_is_watched_is_reverted(tmp_path: Path) -> None:
    def damage_live(job: Value) -> None:
        if isinstance(job, GenerateJob) and "watch" in str(job.prompts):
            flip_a_byte(ins, ins.store.live_history()[-1].pack)
            raise KeyboardInterrupt

    with small_theatre(tmp_path, learns_everything, before=damage_live) as ins, pytest.raises(KeyboardInterrupt):
        run(ins)
    with small_theatre(tmp_path, learns_everything, passes=0) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.REVERTED
        assert live_of(ins) == (3, base_of(ins))
        assert "is damaged" in ins.store.decisions(1)[-1].reason
