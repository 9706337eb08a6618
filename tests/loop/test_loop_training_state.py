"""Stopping and going on: nothing is lost, nothing is done twice, nothing is decided twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from theatre import jobs_of, learns_everything, small_theatre

from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.value import Value
from autosurgeon.errors import CapsuleError
from autosurgeon.loop.run_passes import run


class PowerCut(BaseException):
    """Ends the process where it stands, as far as the loop can see."""


def test_a_run_that_is_cut_at_a_job_ends_as_the_one_that_was_not(tmp_path: Path) -> None:
    with small_theatre(tmp_path / "whole", learns_everything) as ins:
        run(ins)
        whole = [(d.decision_id, d.action, d.live_version, d.pack) for d in ins.store.decisions()]
        jobs = len(jobs_of(ins))
    # Kills at every failpoint are in test_loop_kills.py; here a job of each kind is enough.
    for cut_at in range(0, jobs, 3):
        seen = 0

        def cut(job: Value, cut_at: int = cut_at) -> None:
            nonlocal seen
            seen += 1
            if seen == cut_at + 1:
                raise PowerCut

        root = tmp_path / f"cut-{cut_at}"
        with small_theatre(root, learns_everything, before=cut) as ins, pytest.raises(PowerCut):
            run(ins)
        with small_theatre(root, learns_everything) as ins:
            run(ins)
            assert [(d.decision_id, d.action, d.live_version, d.pack) for d in ins.store.decisions()] == whole
            assert ins.store.get_pass(1).state == PassState.CONFIRMED
            assert len(ins.store.passes()) == 1


def test_a_request_to_stop_ends_after_the_running_stage_and_the_next_run_goes_on(tmp_path: Path) -> None:
    def ask_to_stop(job: Value) -> None:
        if isinstance(job, TrainJob):
            ins.brakes.stop_requested = True

    with small_theatre(tmp_path, learns_everything, before=ask_to_stop) as ins:
        assert run(ins) == "stopped"
        assert ins.store.is_committed("pass-0001", "train")
        assert ins.store.get_pass(1).state == PassState.TRAINED
    with small_theatre(tmp_path, learns_everything) as ins:
        assert run(ins) == "passes"
        assert not any(isinstance(job, TrainJob) for job in jobs_of(ins))
        assert ins.store.get_pass(1).state == PassState.CONFIRMED


def test_a_committed_stage_whose_files_are_gone_is_run_again(tmp_path: Path) -> None:
    def stop_after_training(job: Value) -> None:
        if isinstance(job, TrainJob):
            ins.brakes.stop_requested = True

    with small_theatre(tmp_path, learns_everything, before=stop_after_training) as ins:
        run(ins)
        (ins.workspace.stage("pass-0001", "train") / "adapter" / "adapter_model.safetensors").unlink()
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        assert any(isinstance(job, TrainJob) for job in jobs_of(ins))
        assert ins.store.get_pass(1).state == PassState.CONFIRMED


def test_a_training_that_failed_finds_its_state_again_and_no_other_and_the_state_goes_when_the_stage_is_committed(
    tmp_path: Path,
) -> None:
    found: list[tuple[Path, str, bool]] = []

    def train_a_while_and_die(job: Value) -> None:
        if isinstance(job, TrainJob):
            assert job.state is not None
            found.append((job.state.folder, job.state.effect, (job.state.folder / "state.json").exists()))
            assert list(job.state.folder.parent.iterdir()) in ([], [job.state.folder])
            job.state.folder.mkdir(parents=True, exist_ok=True)
            (job.state.folder / "state.json").touch()
            if len(found) == 1:
                raise CapsuleError("killed", "by signal 9")
            if len(found) == 2:
                raise PowerCut

    (tmp_path / "data" / "training" / "of-another-pass").mkdir(parents=True)
    with small_theatre(tmp_path, learns_everything, before=train_a_while_and_die) as ins, pytest.raises(PowerCut):
        run(ins)
    with small_theatre(tmp_path, learns_everything, before=train_a_while_and_die) as ins:
        assert run(ins) == "passes"
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        assert not ins.workspace.training.exists()
    assert found == [(folder, folder.name, number > 0) for number, (folder, _, _) in enumerate(found)]
    assert len(found) == 3
    assert len({folder for folder, _, _ in found}) == 1


def test_a_restarted_loop_proposes_what_it_would_have_proposed(tmp_path: Path) -> None:
    with small_theatre(tmp_path / "one", learns_everything, passes=4) as ins:
        run(ins)
        straight = [record.recipe for record in ins.store.passes()]
    for _ in range(4):
        with small_theatre(tmp_path / "two", learns_everything) as ins:
            run(ins)
            again = [record.recipe for record in ins.store.passes()]
    assert again == straight


def test_projections_are_rebuilt_at_the_start(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        decisions = ins.workspace.decisions.read_text()
        ins.workspace.live_file.unlink()
        ins.workspace.decisions.write_text(decisions[: len(decisions) // 2])
    with small_theatre(tmp_path, learns_everything, passes=1) as ins:
        ins.brakes.stop_requested = True
        run(ins)
        assert ins.workspace.live_file.is_file()
        assert len(ins.workspace.decisions.read_text().splitlines()) == len(ins.store.decisions())
