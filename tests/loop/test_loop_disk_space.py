"""A disk that runs short during an unattended run: unused weights are removed, and kept ones always stay."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from builders import make_contract, make_recipe
from fakes import RecordingReporter
from lineage import base_of, make_live, make_pack
from theatre import learns_everything, learns_most, small_theatre

from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.pack import ADAPTER_FILE
from autosurgeon.core.pass_states import PassState, pass_scope
from autosurgeon.core.value import Value
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.deploy.retention import Freed, collect_adapters
from autosurgeon.loop.engine.disk_space import GIB, disk_is_used_up, make_room, taken_bytes
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import prepare_run, run

QUICK = {"min_free_mib": 0, "ballast_mib": 0, "full_disk_retry_s": 600}
MIB = 1 << 20


def stocked(ins: Instruments) -> tuple[set[str], str]:
    """Packs that are kept, base and live, and one that nothing keeps."""
    prepare_run(ins)
    read_baseline(ins)
    return {base_of(ins), make_live(ins, make_pack(ins, 5))}, make_pack(ins, 6)


def with_weights(ins: Instruments) -> set[str]:
    return {pack for pack in ins.packs.digests() if ins.packs.has_weights(pack)}


def first_training_learns(generation: int, task_id: str) -> bool:
    return learns_everything(generation if generation == 1 else 0, task_id)


def limited(ins: Instruments, disk_gib: float) -> Instruments:
    loop = ins.settings.loop.model_copy(update={"disk_gib": disk_gib})
    return replace(ins, settings=ins.settings.model_copy(update={"loop": loop}))


def output_of(ins: Instruments) -> str:
    assert isinstance(ins.reporter, RecordingReporter)
    return "\n".join(ins.reporter.lines)


def test_too_little_free_space_takes_weights_that_nothing_keeps_before_the_run_would_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_theatre(tmp_path, learns_most, loop=QUICK | {"min_free_mib": 50}) as ins:
        kept, loose = stocked(ins)

        def free_bytes(_: Path) -> int:
            return (100 if not ins.packs.has_weights(loose) else 49) * MIB

        monkeypatch.setattr("autosurgeon.loop.engine.pause.free_bytes", free_bytes)
        assert run(ins) == "passes"
        assert kept <= with_weights(ins)
        assert not ins.packs.has_weights(loose)
        assert "paused" not in output_of(ins)
        assert (
            "weights that nothing keeps are gone, 0 MiB of 1 packs and the adapters of 0 passes; `autosurgeon"
            in output_of(ins)
        )


def test_a_stage_that_found_no_space_is_tried_again_at_once_where_weights_could_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The weights of this test are two bytes, which do not count as room.
    monkeypatch.setattr("autosurgeon.loop.engine.pause.GROWN_BYTES", 2)
    failed: list[int] = []

    def fill(job: Value) -> None:
        if isinstance(job, TrainJob) and not failed:
            failed.append(1)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with small_theatre(tmp_path, first_training_learns, before=fill, loop=QUICK) as ins:
        kept, loose = stocked(ins)
        assert run(ins) == "passes"
        assert failed
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        assert ins.store.failed_attempts("pass-0001", "train") == 0
        assert not ins.packs.has_weights(loose)
        assert kept <= with_weights(ins)
        assert "paused" not in output_of(ins)


@pytest.mark.parametrize("when_full", [True, False])
def test_a_workspace_above_its_share_of_the_disk_ends_the_run_unless_enough_may_go(
    tmp_path: Path, when_full: bool
) -> None:
    with small_theatre(tmp_path, learns_everything, loop=QUICK, retention={"when_full": when_full}) as ins:
        _, loose = stocked(ins)
        assert not disk_is_used_up(ins)
        tight = limited(ins, (taken_bytes(tmp_path) - 1) / GIB)
        assert disk_is_used_up(tight) != when_full
        assert ins.packs.has_weights(loose) != when_full
        assert run(limited(ins, 1e-6)) == "disk"
        last = ins.store.last_run()
        assert last is not None
        assert (last.end_reason, last.passes_done) == ("disk", 0)


def test_adapters_of_passes_that_are_over_go_too_and_those_of_kept_packs_and_open_passes_stay(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ADAPTER_FILE).write_bytes(bytes(9))

    def then_forgets(generation: int, task_id: str) -> bool:
        return learns_most(generation, task_id) and not (generation == 2 and task_id == "b/gate-2")

    with small_theatre(tmp_path, then_forgets, passes=2, loop=QUICK, levers={"salvage": []}) as ins:
        assert run(ins) == "passes"
        states = [record.state for record in ins.store.passes()]
        assert states == [PassState.CONFIRMED, PassState.REJECTED]
        adapters = [ins.workspace.stage(pass_scope(number), "train") / "adapter" for number in (1, 2, 3)]
        for folder in adapters:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ADAPTER_FILE).write_bytes(bytes(100))
        (adapters[1].parent / "elsewhere").symlink_to(outside)
        number = ins.store.begin_pass(make_recipe(), base_of(ins), base_of(ins), make_contract())
        assert number == 3
        collect = partial(collect_adapters, ins.store, ins.workspace.passes, ins.workspace.pins, 3)
        assert collect(dry_run=True) == [Freed("pass-0002", 100)]
        assert all((folder / ADAPTER_FILE).exists() for folder in adapters)
        assert make_room(ins) == 100
        assert [(folder / ADAPTER_FILE).exists() for folder in adapters] == [True, False, True]
    assert (outside / ADAPTER_FILE).exists()


def test_nothing_is_removed_where_a_person_wants_to_do_it(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything, retention={"when_full": False}) as ins:
        _, loose = stocked(ins)
        assert make_room(ins) == 0
        assert ins.packs.has_weights(loose)


def test_a_folder_takes_what_its_own_files_take_each_once(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    elsewhere.write_bytes(bytes(MIB))
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "one").write_bytes(os.urandom(MIB))
    (folder / "link").symlink_to(elsewhere)
    os.link(folder / "deep" / "one", folder / "again")
    assert MIB <= taken_bytes(folder) < 2 * MIB
