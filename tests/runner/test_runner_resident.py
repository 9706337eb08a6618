"""A resident capsule, which stays for the next job: real processes; a failure in it affects no other capsule."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from misbehaving import interpreter, is_running, still_running
from test_runner_gpu import A, FakeSmi, smi  # noqa: F401  (a fixture)

from autosurgeon.core.jobs import PROGRESS_FILE, CompareJob, GenerateJob, GenerateResult, MergeJob, PretrainJob
from autosurgeon.errors import CapsuleError, UserError
from autosurgeon.processes import children
from autosurgeon.runner.capsules import Capsules
from autosurgeon.runner.cgroup import own_cgroup
from autosurgeon.runner.fork_client import LOG_FILE, End, ForkServer
from autosurgeon.sections import CapsuleSettings

# The job's seed selects the behaviour; the result's count is the pid of the capsule.
BODY = """
from autosurgeon.core.jobs import GenerateResult
from autosurgeon.errors import UserError

print(f"job {job.verb} {os.getcwd()}")
what = job.seed if job.verb == "generate" else 0
if what == 1: raise ZeroDivisionError("by the test")
if what == 2: raise UserError("a refused job")
if what == 3: os.kill(os.getpid(), signal.SIGKILL)
if what == 4: raise MemoryError
if what == 5: time.sleep(600)
if what == 6: held = b"x" * (300 << 20); time.sleep(600)
if what == 7: os._exit(0)
if what == 8: subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
if what == 9: Progress(workdir, 1).step(1)
return GenerateResult(completions="", count=os.getpid(), tokens=0, fingerprint="")
"""
MERGE = MergeJob(base=Path("m"), adapter=Path("a"))
COMPARE = CompareJob(a=Path("m"), b=Path("m"), rows=Path("r"), batch_rows=1, max_tokens=1)
TRAIN = PretrainJob(rows=Path("r"), vocabulary=1, hidden=1, layers=1, heads=1, batch_rows=1, lr=1, seed=0)


def job(what: int = 0) -> GenerateJob:
    return GenerateJob(model=Path("m"), prompts=Path("p"), max_new_tokens=1, batch_rows=1, seed=what)


class Runner:
    """Capsules of that body, and the pid of the capsule that ran a job."""

    def __init__(self, folder: Path, **settings: float) -> None:
        python = interpreter(folder / "python", BODY, first="capsule_main.load_stack = lambda: None")
        self.capsules = Capsules(CapsuleSettings(python=python, **settings), folder / "home")
        self._folder = folder

    def pid(self, what: int = 0, workdir: str = "work") -> int:
        result = self.capsules.run(job(what), self._folder / workdir)
        assert isinstance(result, GenerateResult)
        return result.count


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    made = Runner(tmp_path, memory_gib=0.25, heartbeat_s=5)
    yield made
    made.capsules.close()


def test_one_process_runs_several_jobs_with_separate_files(tmp_path: Path, runner: Runner) -> None:
    first = runner.pid(workdir="one")
    assert runner.pid(9, workdir="two") == first
    assert runner.pid(workdir="one") == first
    for name in ("one", "two"):
        assert (tmp_path / name / LOG_FILE).read_text() == f"job generate {tmp_path / name}\n"
    assert (tmp_path / "two" / PROGRESS_FILE).exists()
    assert Path(f"/proc/{first}/cwd").resolve() == Path("/")
    runner.capsules.close()
    assert not is_running(first)


@pytest.mark.parametrize(
    ("what", "cause"),
    [(1, "crash"), (2, None), (3, "killed"), (4, "memory"), (5, "hung"), (6, "memory"), (7, "bad_outcome")],
    ids=["error", "user", "killed", "no-memory", "hangs", "swells", "leaves"],
)
def test_any_failure_ends_the_resident_capsule_and_the_next_job_gets_a_fresh_one(
    runner: Runner, what: int, cause: str | None
) -> None:
    first = runner.pid()
    with pytest.raises(UserError if cause is None else CapsuleError) as caught:
        runner.pid(what)
    assert getattr(caught.value, "cause", None) == cause
    assert not is_running(first)
    second = runner.pid()
    assert second != first
    assert runner.pid() == second


def test_an_end_that_arrives_together_with_the_start_is_read(tmp_path: Path) -> None:
    both = b'{"pid": 7}\n{"exit": 0, "survivors": []}\n'
    answers = f"import os, sys; sys.stdin.readline(); os.write(1, {both!r}); sys.stdin.read()"
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{{\"ready\": true}}'\nexec {sys.executable} -c {shlex.quote(answers)}\n")
    python.chmod(0o755)
    server = ForkServer(str(python), tmp_path / "home", warm=False)
    try:
        capsule = server.start(tmp_path, None)
        assert (capsule.pid, capsule.wait(10)) == (7, End(0, ()))
    finally:
        server.close()


def test_a_job_that_leaves_a_process_behind_ends_the_resident_capsule_and_its_result_counts(runner: Runner) -> None:
    first = runner.pid()
    assert runner.pid(8) == first
    assert runner.capsules._server is not None
    assert children(runner.capsules._server.pid) == []
    assert runner.pid() != first


def test_a_training_starts_after_the_end_of_the_resident_capsule(tmp_path: Path, runner: Runner) -> None:
    first = runner.pid()
    other = runner.capsules.run(TRAIN, tmp_path / "train")
    assert isinstance(other, GenerateResult)
    assert not is_running(first)
    assert not is_running(other.count)
    assert len({first, other.count, runner.pid()}) == 3


def test_a_resident_capsule_merges_and_compares_but_a_merge_does_not_start_one(tmp_path: Path, runner: Runner) -> None:
    def pid(job: MergeJob | CompareJob) -> int:
        result = runner.capsules.run(job, tmp_path / "other")
        assert isinstance(result, GenerateResult)
        return result.count

    alone = pid(MERGE)
    assert not is_running(alone)
    first = pid(COMPARE)
    assert first != alone
    assert pid(MERGE) == pid(COMPARE) == runner.pid() == first


def test_a_resident_capsule_that_reached_its_time_limit_or_was_killed_is_replaced(tmp_path: Path) -> None:
    runner = Runner(tmp_path, resident_s=0.5)
    try:
        first = runner.pid()
        assert still_running([first], within_s=10) == []
        second = runner.pid()
        os.kill(second, signal.SIGKILL)
        assert runner.pid() not in (first, second)
    finally:
        runner.capsules.close()


def test_no_capsule_stays_if_the_settings_disable_it(tmp_path: Path) -> None:
    runner = Runner(tmp_path, resident_s=0)
    try:
        first = runner.pid()
        assert not is_running(first)
        assert runner.pid() != first
    finally:
        runner.capsules.close()


def test_only_jobs_outside_of_the_resident_capsule_wait_for_its_gpu_memory(
    tmp_path: Path,
    smi: FakeSmi,  # noqa: F811
) -> None:
    runner = Runner(tmp_path, gpu_wait_s=0)
    try:
        first = runner.pid()
        smi.show({A: 9000})
        assert runner.pid() == first
        with pytest.raises(CapsuleError, match="not free after 0 s"):
            runner.capsules.run(TRAIN, tmp_path / "train")
        assert not is_running(first)
        with pytest.raises(CapsuleError, match="not free after 0 s"):
            runner.pid()
        smi.show({A: 500})
        assert runner.pid() != first
    finally:
        runner.capsules.close()


@pytest.mark.parametrize("ends", ["loop", "server"])
def test_a_waiting_resident_capsule_dies_with_its_loop(tmp_path: Path, ends: str) -> None:
    python = interpreter(tmp_path, BODY, first="capsule_main.load_stack = lambda: None")
    script = f"""
        import time
        from pathlib import Path
        from autosurgeon.core.jobs import GenerateJob
        from autosurgeon.runner.capsules import Capsules
        from autosurgeon.sections import CapsuleSettings
        capsules = Capsules(CapsuleSettings(python={python!r}), Path({str(tmp_path / "home")!r}))
        job = GenerateJob.model_validate_json({job().model_dump_json()!r})
        print(capsules.run(job, Path({str(tmp_path / "work")!r})).count, capsules._server.pid, flush=True)
        time.sleep(600)
    """
    loop = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    assert loop.stdout is not None
    pids = [int(word) for word in loop.stdout.readline().split()]
    assert all(map(is_running, pids))
    own = own_cgroup()
    groups = [] if own is None else list(own.glob(f"autosurgeon-{loop.pid}-*"))
    os.kill(loop.pid if ends == "loop" else pids[1], signal.SIGKILL)
    assert still_running(pids, within_s=10) == []
    loop.kill()
    loop.communicate()
    deadline = time.monotonic() + 10
    while ends == "loop" and any(group.exists() for group in groups) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ends == "server" or not any(group.exists() for group in groups)
