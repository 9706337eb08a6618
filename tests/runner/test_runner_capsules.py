"""Results of real capsule processes that work, die, hang, exceed their memory, or lose their loop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from misbehaving import interpreter

from autosurgeon.config import shipped
from autosurgeon.core.jobs import OUTCOME_FILE, GenerateJob, GenerateResult, TrainJob
from autosurgeon.core.recipe import Quantization
from autosurgeon.errors import CapsuleError, UserError
from autosurgeon.runner.capsules import Capsules
from autosurgeon.runner.environment import scrubbed_environment
from autosurgeon.runner.usage_meter import Meter
from autosurgeon.sections import CapsuleSettings

BASE = shipped("data", "lab", "base")
METER = Meter()


@pytest.fixture(scope="module")
def capsules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Capsules]:
    warm = Capsules(CapsuleSettings(), tmp_path_factory.mktemp("home"), meter=METER)
    warm.warm_up()
    yield warm
    warm.close()


def generate_job(folder: Path, model: Path = BASE) -> GenerateJob:
    prompts = folder / "prompts.jsonl"
    prompts.write_text(json.dumps({"task_id": "t", "prompt": "def solve(xs):\n", "stop": "function"}) + "\n")
    return GenerateJob(model=model, prompts=prompts, max_new_tokens=4, batch_rows=1)


def endless_job(folder: Path) -> TrainJob:
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": "a b c ", "completion": "d " * 40}) + "\n" for _ in range(200)))
    return TrainJob(
        base=BASE,
        rows=rows,
        epochs=100,
        lr=1e-5,
        rank=2,
        alpha_ratio=1.0,
        quantization=Quantization.NONE,
        batch_rows=1,
        max_tokens=128,
        seed=0,
    )


def pid_at_work(workdir: Path) -> int:
    """The pid of the capsule that works in a folder, once it reports progress."""
    deadline = time.monotonic() + 120
    while not (workdir / "progress.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if entry.resolve() == workdir.resolve():
                return int(entry.parent.name)
    raise AssertionError("no capsule works here")


@pytest.mark.parametrize("warm", [True, False])
def test_a_capsule_returns_a_typed_result(tmp_path: Path, capsules: Capsules, warm: bool) -> None:
    runner = capsules if warm else Capsules(CapsuleSettings(warm=False), tmp_path, meter=METER)
    METER.read()
    result = runner.run(generate_job(tmp_path), tmp_path / "work")
    assert isinstance(result, GenerateResult)
    assert result.count == 1
    assert json.loads((tmp_path / "work" / OUTCOME_FILE).read_text())["result"]["count"] == 1
    used = METER.read()
    assert used.gpu_seconds is not None
    assert (used.gpu_seconds > 0) == (used.peak_gpu_bytes is not None)
    assert used.peak_host_bytes is not None and used.peak_host_bytes > 50 << 20


def test_what_is_replaced_is_reported_once(tmp_path: Path) -> None:
    lines: list[str] = []
    runner = Capsules(CapsuleSettings(warm=False), tmp_path, report=lines.append)
    slow = GenerateResult(completions="", count=1, tokens=1, fingerprint="", replaced=("decode",))
    for result in (slow, slow.model_copy(update={"replaced": ()}), slow):
        runner._report_replaced(result)
    assert len(lines) == 1
    assert lines[0].startswith("generate: slower, by plain transformers in place of decode")


def test_a_missing_model_is_a_user_error(tmp_path: Path, capsules: Capsules) -> None:
    with pytest.raises(UserError, match=r"a model folder is missing.*nowhere"):
        capsules.run(generate_job(tmp_path, model=tmp_path / "nowhere"), tmp_path / "work")


def test_a_killed_capsule_has_the_cause_killed_and_the_next_one_works(tmp_path: Path, capsules: Capsules) -> None:
    work = tmp_path / "work"
    threading.Thread(target=lambda: os.kill(pid_at_work(work), signal.SIGKILL)).start()
    with pytest.raises(CapsuleError, match="killed") as caught:
        capsules.run(endless_job(tmp_path), work)
    assert caught.value.cause == "killed"
    assert METER.read().gpu_seconds is None
    assert not (work / OUTCOME_FILE).exists()
    assert isinstance(capsules.run(generate_job(tmp_path), tmp_path / "next"), GenerateResult)


def test_a_capsule_over_its_time_is_killed(tmp_path: Path) -> None:
    runner = Capsules(CapsuleSettings(warm=False, wall_s=1.0), tmp_path)
    with pytest.raises(CapsuleError, match="no end after 1 s") as caught:
        runner.run(endless_job(tmp_path), tmp_path / "work")
    assert caught.value.cause == "timeout"


def test_a_capsule_over_its_memory_is_killed(tmp_path: Path) -> None:
    runner = Capsules(CapsuleSettings(warm=False, memory_gib=0.15), tmp_path)
    with pytest.raises(CapsuleError, match="GiB resident") as caught:
        runner.run(endless_job(tmp_path), tmp_path / "work")
    assert caught.value.cause == "memory"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('(workdir / \'outcome.json\').write_text(\'{"result": {"verb": "merge"}\')\nos._exit(0)', "does not parse"),
        ("os._exit(0)", "no outcome"),
        ("(workdir / 'progress.jsonl').write_text('[1]\\n')\ntime.sleep(60)", "does not parse"),
        ("(workdir / 'outcome.json').write_text(' ' * (2 << 20))\nos._exit(0)", "too large"),
    ],
    ids=["forged", "none", "progress", "large"],
)
def test_a_capsule_without_a_valid_outcome_has_the_cause_bad_outcome(tmp_path: Path, body: str, message: str) -> None:
    runner = Capsules(CapsuleSettings(warm=False, python=interpreter(tmp_path, body)), tmp_path)
    with pytest.raises(CapsuleError, match=message) as caught:
        runner.run(generate_job(tmp_path), tmp_path / "work")
    assert caught.value.cause == "bad_outcome"


def test_an_interpreter_without_the_torch_stack_is_a_user_error(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'torch'\" >&2\nexit 1\n")
    bare.chmod(0o755)
    runner = Capsules(CapsuleSettings(python=str(bare)), tmp_path / "home")
    with pytest.raises(UserError, match=r"autosurgeon doctor.*No module named 'torch'"):
        runner.run(generate_job(tmp_path), tmp_path / "work")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        ("print('not executable')", "Permission denied"),
        ("no program at all", "Exec format error"),
        ("#!/bin/sh\nexit 0\n", "no output"),
        ("#!/bin/sh\necho hello\n", "output of another program"),
        ("#!/bin/sh\necho '[1]'\n", "output of another program"),
    ],
)
def test_an_invalid_interpreter_is_a_user_error(tmp_path: Path, content: str | None, reason: str) -> None:
    python = tmp_path / "python"
    if content is not None:
        python.write_text(content)
        python.chmod(0o644 if "not executable" in content else 0o755)
    runner = Capsules(CapsuleSettings(python=str(python)), tmp_path / "home")
    with pytest.raises(UserError, match=f"the capsule's interpreter.*{reason}.*{python}"):
        runner.run(generate_job(tmp_path), tmp_path / "work")
    runner.close()


def test_an_interpreter_that_hangs_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autosurgeon.runner.fork_client.START_TIMEOUT_S", 0.2)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    python.chmod(0o755)
    runner = Capsules(CapsuleSettings(python=str(python)), tmp_path / "home")
    with pytest.raises(CapsuleError, match=r"the torch stack was not imported after") as caught:
        runner.run(generate_job(tmp_path), tmp_path / "work")
    assert caught.value.cause == "timeout"
    runner.close()


def test_a_capsule_gets_only_the_listed_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("NCCL_NVLS_ENABLE", "0")  # a setting of this host's GPUs
    seen = scrubbed_environment(tmp_path)
    assert "SECRET_TOKEN" not in seen
    assert seen["HOME"] == str(tmp_path)
    assert seen["NCCL_NVLS_ENABLE"] == "0"
    assert seen["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("warm", [True, False])
def test_a_capsule_dies_when_its_loop_is_killed(tmp_path: Path, warm: bool) -> None:
    job, work = endless_job(tmp_path), tmp_path / "work"
    script = f"""
        from pathlib import Path
        from autosurgeon.sections import CapsuleSettings
        from autosurgeon.core.jobs import TrainJob
        from autosurgeon.runner.capsules import Capsules
        job = TrainJob.model_validate_json({job.model_dump_json()!r})
        Capsules(CapsuleSettings(warm={warm}), Path({str(tmp_path)!r})).run(job, Path({str(work)!r}))
    """
    loop = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    capsule = pid_at_work(work)
    loop.kill()
    loop.wait()
    for _ in range(100):
        if not Path(f"/proc/{capsule}/cmdline").exists() or not Path(f"/proc/{capsule}/cmdline").read_bytes():
            break
        time.sleep(0.05)
    else:
        os.kill(capsule, signal.SIGKILL)
        raise AssertionError("the capsule outlived its loop")


def test_a_warm_capsule_that_timed_out_does_not_affect_the_next_one(tmp_path: Path) -> None:
    runner = Capsules(CapsuleSettings(wall_s=2), tmp_path / "home")
    try:
        with pytest.raises(CapsuleError, match="no end"):
            runner.run(endless_job(tmp_path), tmp_path / "work")
        runner._settings = CapsuleSettings()
        assert isinstance(runner.run(generate_job(tmp_path), tmp_path / "next"), GenerateResult)
    finally:
        runner.close()


def test_the_heartbeat_is_called_while_a_capsule_is_within_its_limits(tmp_path: Path) -> None:
    beats: list[float] = []
    settings = CapsuleSettings(warm=False, wall_s=2)
    waits = Capsules(settings, tmp_path / "home", lambda: beats.append(time.monotonic()))
    with pytest.raises(CapsuleError, match="no end after 2 s"):
        waits.run(endless_job(tmp_path), tmp_path / "work")
    assert len(beats) > 5
