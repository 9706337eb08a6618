"""Words from another terminal, and a full disk: the loop stops, waits and goes on; nothing is lost or done twice."""

from __future__ import annotations

import errno
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import RecordingReporter
from theatre import jobs_of, learns_everything, learns_most, small_theatre

from autosurgeon.core.jobs import MergeJob, TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.stage_results import StageResult
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import CapsuleError, StoreError
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.loop.engine.stop_requests import ask, asked, paused
from autosurgeon.loop.run_passes import run
from autosurgeon.store.lock import myself
from autosurgeon.workspace_status import read_activity

FULL = OSError(errno.ENOSPC, "No space left on device")
QUICK = {"min_free_mib": 0, "ballast_mib": 1, "full_disk_retry_s": 0.05}


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def beside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def output_of(ins: Instruments) -> str:
    assert isinstance(ins.reporter, RecordingReporter)
    return repr(ins.reporter.__dict__)


def trainings(ins: Instruments) -> int:
    return sum(isinstance(job, TrainJob) for job in jobs_of(ins))


@pytest.mark.parametrize("how", ["word", "file"])
def test_a_word_to_stop_ends_the_run_after_the_running_stage(tmp_path: Path, how: str) -> None:
    place = Workspace(tmp_path)

    def stop(job: Value) -> None:
        if isinstance(job, TrainJob) and how == "word":
            ask(place, "stop", "mia", myself())
        elif isinstance(job, TrainJob):
            place.stop_file.write_bytes(b"\x00 anything")

    with small_theatre(tmp_path, learns_everything, before=stop) as ins:
        assert run(ins) == "stopped"
        assert ins.store.get_pass(1).state == PassState.TRAINED
        assert "stopping, as " + ("mia" if how == "word" else "the file STOP") in output_of(ins)
        last = ins.store.last_run()
        assert last is not None
        assert last.end_reason == "stopped"


@pytest.mark.parametrize("to", [True, False], ids=["to another loop", "to no loop"])
def test_a_word_to_stop_an_earlier_run_does_not_stop_the_next_one(tmp_path: Path, to: bool) -> None:
    place = Workspace(tmp_path)
    ask(place, "stop", "mia", myself().model_copy(update={"started": 1}) if to else None)
    place.stop_file.touch()
    with small_theatre(tmp_path, learns_everything) as ins:
        assert run(ins) == "passes"
        assert "left from an earlier run" in output_of(ins)
    assert not place.stop_file.exists()
    assert asked(place) is None


def test_a_stop_file_that_cannot_be_taken_away_stops_the_run_that_finds_it(tmp_path: Path) -> None:
    (tmp_path / "data" / "STOP").mkdir(parents=True)
    with small_theatre(tmp_path, learns_everything) as ins:
        assert run(ins) == "stopped"


@pytest.mark.parametrize("content", [b"", b"{", b'{"word": "explode"}', b"\xff" * 99, b"[" * 9999])
def test_a_control_file_of_garbage_is_no_word(tmp_path: Path, content: bytes) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        ins.workspace.control.write_bytes(content)
        assert run(ins) == "passes"


def test_a_paused_run_waits_names_since_when_and_by_whom_and_goes_on_where_it_was(tmp_path: Path) -> None:
    place, seen = Workspace(tmp_path), []

    def pause(job: Value) -> None:
        if isinstance(job, TrainJob):
            ask(place, "pause", "mia", myself())
            threads.append(beside(let_go))

    def let_go() -> None:
        eventually(lambda: paused(place) is not None)
        seen.append(read_activity(place)["paused"])
        ask(place, "run", "ben", myself())

    threads: list[threading.Thread] = []
    with small_theatre(tmp_path, learns_everything, before=pause) as ins:
        assert run(ins) == "passes"
        assert trainings(ins) == 1
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        threads[0].join()
    assert (seen[0]["reason"], seen[0]["by"]) == ("asked", "mia")
    assert seen[0]["since"]
    assert paused(place) is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"word": "explode"}'])
def test_a_request_that_cannot_be_read_ends_no_pause(tmp_path: Path, content: bytes) -> None:
    place = Workspace(tmp_path)
    ask(place, "pause", "mia", None)
    late: list[bool] = []

    def damage_and_resume() -> None:
        eventually(lambda: paused(place) is not None)
        place.control.write_bytes(content)
        time.sleep(0.2)
        late.append(paused(place) is not None)
        ask(place, "run", "mia", None)

    with small_theatre(tmp_path, learns_everything) as ins:
        ins.brakes.poll_s = 0.01
        other = beside(damage_and_resume)
        assert run(ins) == "passes"
        other.join()
    assert late == [True]


@pytest.mark.parametrize("how", ["interrupt", "word", "file"])
def test_a_paused_run_can_be_stopped(tmp_path: Path, how: str) -> None:
    place = Workspace(tmp_path)
    ask(place, "pause", "mia", None)
    with small_theatre(tmp_path, learns_everything) as ins:

        def stop() -> None:
            eventually(lambda: paused(place) is not None)
            if how == "interrupt":
                ins.brakes.stop_requested = True
            elif how == "word":
                ask(place, "stop", "ben", myself())
            else:
                place.stop_file.touch()

        thread = beside(stop)
        assert run(ins) == "stopped"
        thread.join()
        assert "mia paused this workspace at" in output_of(ins)
        assert "autosurgeon resume" in output_of(ins)
        assert jobs_of(ins) == []
    assert not place.pause.exists()


def test_the_pause_of_a_loop_that_was_killed_is_no_pause(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    place.pause.parent.mkdir()
    dead = myself().model_copy(update={"started": 1})
    place.pause.write_text(f'{{"reason": "asked", "by": "mia", "since": "then", "to": {dead.model_dump_json()}}}')
    assert paused(place) is None


def test_too_little_free_space_pauses_and_the_run_goes_on_when_there_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, free = Workspace(tmp_path), [100 << 20]
    monkeypatch.setattr("autosurgeon.loop.engine.pause.free_bytes", lambda _: free[0])
    seen: list[object] = []

    def fill(job: Value) -> None:
        if isinstance(job, TrainJob):
            free[0] = 49 << 20

    def make_room() -> None:
        eventually(lambda: paused(place) is not None)
        seen.append((read_activity(place)["paused"]["reason"], place.ballast.exists()))
        free[0] = 50 << 20
        time.sleep(0.2)
        seen.append(paused(place) is not None)  # the ballast has to fit as well
        free[0] = 51 << 20

    with small_theatre(tmp_path, learns_everything, before=fill, loop={"min_free_mib": 50, "ballast_mib": 1}) as ins:
        thread = beside(make_room)
        assert run(ins) == "passes"
        thread.join()
        assert trainings(ins) == 1
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
    assert seen == [("disk", False), True]
    assert place.ballast.stat().st_size == 1 << 20


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        CapsuleError("crash", "SafetensorError: No space left on device (os error 28)"),
        StoreError("the store failed, so the loop stops: database or disk is full"),
    ],
    ids=["space", "quota", "capsule", "store"],
)
def test_a_stage_that_found_the_disk_full_is_run_again_and_no_failed_attempt(tmp_path: Path, error: Exception) -> None:
    left = [5]

    def fail(job: Value) -> None:
        if isinstance(job, MergeJob) and left[0]:
            left[0] -= 1
            raise error

    with small_theatre(tmp_path, learns_everything, before=fail, loop=QUICK) as ins:
        assert run(ins) == "passes"
        assert ins.store.failed_attempts("pass-0001", "merge") == 0
        assert trainings(ins) == 1
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        assert ins.workspace.ballast.stat().st_size == 1 << 20
        assert len(ins.store.passes()) == 1


@pytest.mark.parametrize("writing", ["write_pass_report", "read_baseline", "begin_pass", "prepare_run"])
def test_a_full_disk_between_the_stages_is_waited_for_too_and_a_pass_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writing: str
) -> None:
    from autosurgeon.loop import run_passes as surgeon

    whole, left = getattr(surgeon, writing), [2]

    def fails_twice(*given: object, **named: object) -> object:
        if left[0]:
            left[0] -= 1
            raise FULL
        return whole(*given, **named)

    monkeypatch.setattr(surgeon, writing, fails_twice)
    with small_theatre(tmp_path, learns_most, passes=2, loop=QUICK) as ins:
        assert run(ins) == "passes"
        assert len(ins.store.passes()) == 2
        assert len(ins.workspace.decisions.read_text().splitlines()) == len(ins.store.decisions())


def test_what_fails_while_space_is_waited_for_is_no_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autosurgeon.loop.engine import pause as standstill

    def broken(name: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def full(*_: object) -> Done[StageResult]:
        raise FULL

    with small_theatre(tmp_path, learns_everything, loop=QUICK) as ins:
        monkeypatch.setattr(standstill, "reach", broken)
        for work in (
            lambda: standstill.despite_full_disk(ins, full),
            lambda: once(ins, "pack", StageResult, full, name="train"),
        ):
            with pytest.raises(OSError, match="Input/output error") as caught:
                work()
            assert not standstill.ran_out_of_space(ins, caught.value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_on_a_disk_that_is_really_full_the_pause_is_written_down_and_the_run_goes_on(small_disk: Path) -> None:
    place, fillers = Workspace(small_disk), 0

    def fill(job: Value) -> None:
        nonlocal fillers
        if isinstance(job, TrainJob) and not fillers:
            fillers += 1
            with (small_disk / "filler").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))

    def make_room() -> None:
        eventually(lambda: paused(place) is not None)
        seen.append(read_activity(place)["paused"]["reason"])
        (small_disk / "filler").unlink()

    seen: list[str] = []
    with small_theatre(small_disk, learns_everything, before=fill, loop=QUICK | {"full_disk_retry_s": 600}) as ins:
        thread = beside(make_room)
        assert run(ins) == "passes"
        thread.join()
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        assert ins.store.failed_attempts("pass-0001", "train") == 0
    assert seen == ["disk"]
    assert place.ballast.stat().st_size == 1 << 20
