"""Every budget ends the run with a reason of its own, which the memory keeps and the command line words."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from theatre import first_half, learns_everything, small_theatre

from autosurgeon.cli.run import ENDINGS
from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.value import Value
from autosurgeon.errors import CapsuleError
from autosurgeon.loop.engine.limits import Limits
from autosurgeon.loop.run_passes import run
from autosurgeon.sections import LoopSettings


def fails_to_train(job: Value) -> None:
    if isinstance(job, TrainJob):
        raise CapsuleError("crash", "exit code 1")


def learns_nothing(generation: int, task_id: str) -> bool:
    return first_half(task_id)


@pytest.mark.parametrize(
    ("flags", "settings", "passes", "reason"),
    [
        ({"passes": 2}, {}, 2, "passes"),
        ({"hours": 0.0}, {}, 0, "hours"),
        ({"gpu_hours": 1e-9}, {}, 1, "gpu_hours"),
        ({}, {"gpu_hours": 1e-9}, 1, "gpu_hours"),
        ({"without_gain": 2}, {"passes_without_gain": 3}, 2, "without_gain"),
        ({}, {"passes_without_gain": 3}, 3, "without_gain"),
    ],
)
def test_a_budget_that_is_used_up_ends_the_run_with_its_own_reason(
    tmp_path: Path, flags: dict[str, Any], settings: dict[str, Any], passes: int, reason: str
) -> None:
    loop = {"min_free_mib": 0, "ballast_mib": 0} | settings
    with small_theatre(tmp_path, learns_nothing, passes=9, loop=loop) as ins:
        for name, limit in flags.items():
            setattr(ins.brakes, name, limit)
        assert run(ins) == reason
        assert len(ins.store.passes()) == passes
        last = ins.store.last_run()
        assert last is not None
        assert (last.end_reason, last.passes_done) == (reason, passes)
    assert ENDINGS[reason]


def test_failures_in_a_row_end_the_run_before_the_passes_asked_for_do(tmp_path: Path) -> None:
    loop = {"min_free_mib": 0, "ballast_mib": 0, "attempts": 1, "failures_in_a_row": 2}
    with small_theatre(tmp_path, learns_everything, passes=2, before=fails_to_train, loop=loop) as ins:
        assert run(ins) == "failures"
        assert [record.state for record in ins.store.passes()] == [PassState.FAILED] * 2


def test_a_gain_or_a_success_begins_the_count_anew() -> None:
    loop, brakes = LoopSettings(failures_in_a_row=2, passes_without_gain=3), Limits()
    for state in (PassState.FAILED, PassState.REJECTED, PassState.CONFIRMED, PassState.REVERTED, PassState.FAILED):
        brakes.count_pass(state)
        assert brakes.end_reason(1, loop) is None
    brakes.count_pass(PassState.HELD)
    assert brakes.end_reason(1, loop) == "without_gain"


def test_only_stages_that_run_a_capsule_use_up_gpu_hours_and_failed_tries_do_too(tmp_path: Path) -> None:
    loop, brakes = LoopSettings(gpu_hours=1), Limits()
    for name in ("dataset", "contamination", "import", "anchors"):
        brakes.count_stage(name, 4000)
    assert brakes.end_reason(0, loop) is None
    for name in ("train", "bench-0f0f0f0f", "confirm-12345678"):
        brakes.count_stage(name, 1200)
    assert brakes.end_reason(0, loop) == "gpu_hours"

    def slow_failure(job: Value) -> None:
        if isinstance(job, TrainJob):
            time.sleep(0.05)
            raise CapsuleError("crash", "exit code 1")

    settings = {"min_free_mib": 0, "ballast_mib": 0, "attempts": 2, "gpu_hours": 1000}
    with small_theatre(tmp_path, learns_everything, before=slow_failure, loop=settings) as ins:
        run(ins)
        assert ins.brakes.capsule_s >= 0.1


def test_every_reason_has_a_sentence() -> None:
    assert set(ENDINGS) == {
        "passes",
        "hours",
        "gpu_hours",
        "stopped",
        "gate",
        "evaluation",
        "failures",
        "hopeless",
        "stuck",
        "without_gain",
        "plateau",
        "disk",
    }
