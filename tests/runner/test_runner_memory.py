"""A capsule that runs out of memory, in any way, has the cause memory; a crash and a foreign signal do not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from misbehaving import interpreter, is_running, written_pids

from autosurgeon.core.jobs import MergeJob, PretrainJob
from autosurgeon.errors import CapsuleError
from autosurgeon.runner.capsules import Capsules
from autosurgeon.runner.memory import held_bytes, oom_kills
from autosurgeon.sections import CapsuleSettings

JOB = MergeJob(base=Path("nowhere"), adapter=Path("nowhere"))
TAKES = "b'x' * (300 << 20)"


def cause_of(tmp_path: Path, body: str, *, memory_gib: float = 16) -> CapsuleError:
    python = interpreter(tmp_path, body)
    runner = Capsules(CapsuleSettings(warm=False, python=python, memory_gib=memory_gib), tmp_path / "home")
    with pytest.raises(CapsuleError) as caught:
        runner.run(JOB, tmp_path / "work")
    return caught.value


def test_a_capsule_that_takes_more_than_its_memory_is_killed(tmp_path: Path) -> None:
    error = cause_of(tmp_path, f"held = {TAKES}\ntime.sleep(60)", memory_gib=0.2)
    assert error.cause == "memory"
    assert "GiB resident, the limit is 0.2" in str(error)


@pytest.mark.parametrize("session", [False, True])
def test_child_processes_count_in_the_memory_of_a_capsule(tmp_path: Path, session: bool) -> None:
    child = f"import os, time; open('pids', 'w').write(f'{{os.getpid()}}\\n'); held = {TAKES}; time.sleep(60)"
    body = f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session={session})\ntime.sleep(60)"
    assert cause_of(tmp_path, body, memory_gib=0.2).cause == "memory"
    assert not any(map(is_running, written_pids(tmp_path / "work" / "pids", 1)))


def test_pages_that_several_processes_share_count_once(tmp_path: Path) -> None:
    body = f"held = {TAKES}\nfor _ in range(3):\n    if os.fork() == 0: time.sleep(60)\ntime.sleep(4)\nos._exit(7)"
    assert "exit code 7" in str(cause_of(tmp_path, body, memory_gib=0.5))


def test_a_failed_allocation_of_torch_is_out_of_memory(tmp_path: Path) -> None:
    limit_kib = 8 << 20
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nulimit -v {limit_kib}\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a b ", "completion": "c"}\n')
    job = PretrainJob(rows=rows, vocabulary=300, hidden=1 << 16, layers=1, heads=1, batch_rows=1, lr=1e-3, seed=0)
    with pytest.raises(CapsuleError, match="allocate memory") as caught:
        Capsules(CapsuleSettings(warm=False, python=str(script)), tmp_path).run(job, tmp_path / "work")
    assert caught.value.cause == "memory"


def test_a_memory_error_inside_an_exception_group_is_out_of_memory(tmp_path: Path) -> None:
    body = """
        def take():
            try:
                bytearray(1 << 62)
            except MemoryError as error:
                raise ExceptionGroup("two", [ValueError("a"), RuntimeError("a worker ended")]) from error
        try:
            take()
        except ExceptionGroup as error:
            raise ExceptionGroup("outer", [KeyError("k"), error])
    """
    assert cause_of(tmp_path, body).cause == "memory"


@pytest.mark.parametrize(("number", "cause"), [(signal.SIGKILL, "killed"), (signal.SIGSEGV, "killed")])
def test_a_foreign_signal_is_not_out_of_memory(tmp_path: Path, number: int, cause: str) -> None:
    error = cause_of(tmp_path, f"os.kill(os.getpid(), {number:d})")
    assert error.cause == cause
    assert f"by signal {number:d}" in str(error)


def test_an_error_of_the_capsule_is_a_crash(tmp_path: Path) -> None:
    assert cause_of(tmp_path, "raise ZeroDivisionError('by the test')").cause == "crash"


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A memory cgroup (version 1 or 2) of 150 MB; skips if this process may not create one."""
    for root, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        folder = root / f"autosurgeon-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit).write_text(str(150 << 20))
        except OSError:
            folder.rmdir()
            continue
        yield folder
        with contextlib.suppress(OSError):
            folder.rmdir()
        return
    pytest.skip("no memory cgroup may be made here")


def test_a_kill_by_the_kernel_for_lack_of_memory_is_out_of_memory(tmp_path: Path, small_cgroup: Path) -> None:
    before = oom_kills(None)
    joining = f"(own := open('{small_cgroup}/cgroup.procs', 'w')).write('0')\nown.close()\n"
    error = cause_of(tmp_path, f"{joining}held = {TAKES}\ntime.sleep(60)")
    assert oom_kills(None) > before
    assert error.cause == "memory"
    assert "the kernel was out of memory" in str(error)


def test_memory_is_the_sum_over_the_running_processes() -> None:
    child = subprocess.Popen([sys.executable, "-c", f"held = {TAKES}; print(flush=True); input()"], stdin=-1, stdout=-1)
    assert child.stdout is not None
    child.stdout.readline()
    alone, both = held_bytes([child.pid], 0), held_bytes([child.pid, os.getpid()], 0)
    assert 300 << 20 < alone < both < 2 << 30
    assert held_bytes([child.pid], 1 << 40) >= alone  # the cheap sum, which is never less
    child.communicate(b"\n")
    assert held_bytes([child.pid], 0) == 0


def test_the_count_of_kills_is_that_of_the_cgroup_if_it_has_one(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\noom 2\noom_kill 41\noom_group_kill 0\n")
    assert oom_kills(tmp_path) == 41
    assert oom_kills(tmp_path / "nowhere") == oom_kills(None)
