"""A capsule's child processes die with it, and the capsule dies with its loop: real processes, real signals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from invariants import processes_of
from misbehaving import interpreter, is_running, still_running, written_pids

from autosurgeon.core.jobs import MergeJob
from autosurgeon.errors import CapsuleError
from autosurgeon.processes import children
from autosurgeon.runner import fork_client
from autosurgeon.runner.capsules import Capsules
from autosurgeon.runner.cgroup import make_cgroup, own_cgroup, remove_cgroup
from autosurgeon.sections import CapsuleSettings

JOB = MergeJob(base=Path("nowhere"), adapter=Path("nowhere"))

# Three processes that ignore all signals that can be ignored: one in the capsule's group, one with its own session, and
# an orphan. All write their pid to a file, as does the capsule.
OFFSPRING = """
deaf = (
    "import os, signal, sys, time\\n"
    "for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)\\n"
    "if sys.argv[1] != 'group': os.setsid()\\n"
    "if sys.argv[1] == 'orphan' and os.fork(): os._exit(0)\\n"
    "open('pids', 'a').write(f'{os.getpid()}\\\\n')\\n"
    "time.sleep(600)\\n"
)
started = [subprocess.Popen([sys.executable, "-c", deaf, kind]) for kind in ("group", "session", "orphan")]
open("pids", "a").write(f"{os.getpid()}\\n")
while open("pids").read().count("\\n") < 4:
    time.sleep(0.01)
"""
SLEEPS = "time.sleep(600)"
# Holds the interpreter's lock, so that no thread of the capsule can run.
HANGS = "ctypes.PyDLL(None).sleep(600)"
ENDS = "os._exit(7)"

needs_cgroup = pytest.mark.skipif(
    (probe := make_cgroup(own_cgroup())) is None, reason="no cgroup v2 that this process may divide"
)
if probe is not None:
    remove_cgroup(probe)

CGROUP = pytest.mark.parametrize("cgroup", [False, pytest.param(True, marks=needs_cgroup)])


@pytest.fixture(autouse=True)
def no_cgroup(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test as on a machine without cgroups, if its parameter asks for that."""
    if "cgroup" in request.fixturenames and not request.getfixturevalue("cgroup"):
        monkeypatch.setattr("autosurgeon.runner.capsules.own_cgroup", lambda: None)


def loop_process(
    folder: Path, python: str, *, warm: bool, cgroup: bool, fail: str | None = None
) -> subprocess.Popen[bytes]:
    script = f"""
        from pathlib import Path
        from autosurgeon.failpoints import arm
        from autosurgeon.sections import CapsuleSettings
        from autosurgeon.core.jobs import MergeJob
        from autosurgeon.runner import capsules
        if not {cgroup}:
            capsules.own_cgroup = lambda: None
        arm({fail!r})
        settings = CapsuleSettings(warm={warm}, python={python!r})
        job = MergeJob.model_validate_json({JOB.model_dump_json()!r})
        capsules.Capsules(settings, Path({str(folder / "home")!r})).run(job, Path({str(folder / "work")!r}))
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])


@CGROUP
@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("then", [SLEEPS, HANGS], ids=["sleeps", "hangs"])
def test_nothing_outlives_a_loop_that_is_killed(tmp_path: Path, then: str, warm: bool, cgroup: bool) -> None:
    loop = loop_process(tmp_path, interpreter(tmp_path, OFFSPRING + then), warm=warm, cgroup=cgroup)
    pids = [*written_pids(tmp_path / "work" / "pids", 4), *children(loop.pid)]
    assert len(pids) == 5
    assert all(map(is_running, pids))
    loop.kill()
    loop.wait()
    assert still_running(pids, within_s=10) == []


@pytest.mark.parametrize(("point", "then"), [("capsule-started", SLEEPS), ("capsule-ended", ENDS)])
def test_a_loop_that_is_killed_at_a_failpoint_around_its_capsule_leaves_no_process(
    tmp_path: Path, point: str, then: str
) -> None:
    python = interpreter(tmp_path, OFFSPRING + then)
    loop = loop_process(tmp_path, python, warm=True, cgroup=False, fail=f"{point}:kill")
    assert loop.wait(60) == -signal.SIGKILL, f"{point} was never reached"
    deadline = time.monotonic() + 10
    while (left := processes_of(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def test_a_fork_server_that_still_loads_the_stack_dies_with_its_loop(tmp_path: Path) -> None:
    first = "capsule_main.load_stack = lambda: (open('pids', 'w').write(f'{os.getpid()}\\n'), time.sleep(600))"
    loop = loop_process(tmp_path, interpreter(tmp_path, SLEEPS, first=first), warm=True, cgroup=False)
    pids = written_pids(tmp_path / "home" / "pids", 1)
    loop.kill()
    loop.wait()
    assert still_running(pids, within_s=10) == []


@needs_cgroup
def test_a_killed_loop_leaves_no_cgroup_behind(tmp_path: Path) -> None:
    loop = loop_process(tmp_path, interpreter(tmp_path, OFFSPRING + SLEEPS), warm=True, cgroup=True)
    pids = written_pids(tmp_path / "work" / "pids", 4)
    own = own_cgroup()
    assert own is not None
    (group,) = own.glob(f"autosurgeon-{loop.pid}-*")
    assert {int(pid) for pid in (group / "cgroup.procs").read_text().split()} >= set(pids)
    loop.kill()
    loop.wait()
    deadline = time.monotonic() + 10
    while group.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not group.exists()


@CGROUP
@pytest.mark.parametrize("warm", [True, False])
def test_no_child_process_survives_the_end_of_its_capsule(tmp_path: Path, warm: bool, cgroup: bool) -> None:
    runner = Capsules(CapsuleSettings(warm=warm, python=interpreter(tmp_path, OFFSPRING + ENDS)), tmp_path / "home")
    try:
        for _ in range(2):
            with pytest.raises(CapsuleError, match="exit code 7 and no outcome"):
                runner.run(JOB, tmp_path / "work")
            assert not any(map(is_running, written_pids(tmp_path / "work" / "pids", 4)))
    finally:
        runner.close()


@CGROUP
@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("then", [SLEEPS, HANGS], ids=["sleeps", "hangs"])
def test_a_capsule_without_progress_is_killed_as_hung(tmp_path: Path, then: str, warm: bool, cgroup: bool) -> None:
    python = interpreter(tmp_path, OFFSPRING + then)
    runner = Capsules(CapsuleSettings(warm=warm, python=python, heartbeat_s=2.0), tmp_path / "home")
    try:
        with pytest.raises(CapsuleError, match="no progress for 2 s") as caught:
            runner.run(JOB, tmp_path / "work")
        assert caught.value.cause == "hung"
        assert not any(map(is_running, written_pids(tmp_path / "work" / "pids", 4)))
    finally:
        runner.close()


@pytest.mark.parametrize("alive", ["beat(workdir)", "progress.step(n)"])
def test_a_slow_capsule_that_makes_progress_is_not_killed(tmp_path: Path, alive: str) -> None:
    body = f"progress = Progress(workdir, 20)\nfor n in range(20):\n    time.sleep(0.25)\n    {alive}\nos._exit(7)"
    python = interpreter(tmp_path, body)
    with pytest.raises(CapsuleError, match="exit code 7"):
        Capsules(CapsuleSettings(warm=False, python=python, heartbeat_s=4.0), tmp_path).run(JOB, tmp_path / "work")


def test_a_running_thread_is_not_a_heartbeat(tmp_path: Path) -> None:
    body = "import threading\nthreading.Thread(target=lambda: [time.sleep(0.1) for _ in range(999)]).start()\n" + SLEEPS
    runner = Capsules(CapsuleSettings(warm=False, python=interpreter(tmp_path, body), heartbeat_s=1.0), tmp_path)
    with pytest.raises(CapsuleError) as caught:
        runner.run(JOB, tmp_path / "work")
    assert caught.value.cause == "hung"


def test_the_capsule_dies_when_its_fork_server_is_killed(tmp_path: Path) -> None:
    runner = Capsules(CapsuleSettings(python=interpreter(tmp_path, OFFSPRING + HANGS)), tmp_path / "home")
    runner.warm_up()
    assert runner._server is not None
    server = runner._server.pid

    def kill() -> None:
        written_pids(tmp_path / "work" / "pids", 4)
        os.kill(server, signal.SIGKILL)

    threading.Thread(target=kill).start()
    with pytest.raises(CapsuleError, match="fork server ended"):
        runner.run(JOB, tmp_path / "work")
    in_group, *_ = written_pids(tmp_path / "work" / "pids", 4)
    capsule = written_pids(tmp_path / "work" / "pids", 4)
    assert len(still_running([in_group, *capsule], within_s=5)) <= (0 if own_cgroup() else 2)
    runner.close()


def test_a_capsule_that_does_not_die_makes_the_next_stage_start_with_a_fresh_fork_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_client, "REAP_S", 1.0)
    python = interpreter(tmp_path, "beat(workdir)\n" + SLEEPS)
    runner = Capsules(CapsuleSettings(python=python, wall_s=1.0), tmp_path / "home")
    runner.warm_up()
    assert runner._server is not None
    first = runner._server.pid

    def stop() -> None:  # a stopped fork server neither kills nor answers, like one that waits in the kernel
        while not (tmp_path / "work" / "progress.jsonl").exists():
            time.sleep(0.01)
        os.kill(first, signal.SIGSTOP)

    threading.Thread(target=stop).start()
    with pytest.raises(CapsuleError, match=r"no end after 1 s; .* does not die .* fresh process") as caught:
        runner.run(JOB, tmp_path / "work")
    assert caught.value.cause == "wedged"
    assert not is_running(first)
    with pytest.raises(CapsuleError, match=r"no end after 1 s$"):
        runner.run(JOB, tmp_path / "work")
    assert runner._server.pid != first
    runner.close()


def open_files(pid: int) -> list[str]:
    """The open files of a process, which may close some of them meanwhile."""
    held = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            held.append(os.readlink(entry))
    return held


def test_only_the_loop_holds_the_other_end_of_the_death_pipe(tmp_path: Path) -> None:
    body = OFFSPRING + SLEEPS
    runner = Capsules(CapsuleSettings(python=interpreter(tmp_path, body), wall_s=600), tmp_path / "home")

    def at_work() -> None:
        with contextlib.suppress(CapsuleError):
            runner.run(JOB, tmp_path / "work")

    work = threading.Thread(target=at_work)
    work.start()
    pids = written_pids(tmp_path / "work" / "pids", 4)
    assert runner._server is not None
    pipe = os.readlink(f"/proc/{runner._server.pid}/fd/0")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        for pid in [*pids, stranger.pid]:
            assert pipe not in open_files(pid)
        stranger.communicate(b"\n")
    os.kill(pids[-1], signal.SIGKILL)
    for pid in pids:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)
    work.join()
    runner.close()
