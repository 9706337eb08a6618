"""A stage starts only on a GPU whose memory is free: with a fake nvidia-smi, and with a real GPU."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from misbehaving import interpreter

from autosurgeon.config import shipped
from autosurgeon.core.jobs import OUTCOME_FILE, GenerateJob, MergeJob, Outcome
from autosurgeon.errors import CapsuleError
from autosurgeon.runner import gpu
from autosurgeon.runner.capsules import Capsules
from autosurgeon.runner.gpu import GpuBaseline, used_mib
from autosurgeon.sections import CapsuleSettings

A, B = "GPU-aaaa-1", "GPU-bbbb-2"
GENERATE = GenerateJob(model=Path("m"), prompts=Path("p"), max_new_tokens=1, batch_rows=1)
MERGE = MergeJob(base=Path("m"), adapter=Path("a"))


class FakeSmi:
    """A fake nvidia-smi, first on PATH, that prints the content of two files."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self._folder = folder
        self.answer_with(
            'case "$1" in\n'
            f"--query-gpu=index,uuid,memory.used) cat {folder}/gpus;;\n"
            f"--query-compute-apps=gpu_uuid,pid,process_name,used_memory) cat {folder}/apps;;\n"
            "*) exit 2;;\nesac\n"
        )
        self.show({A: 500, B: 10})
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def answer_with(self, shell: str) -> None:
        program = self._folder / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{shell}", encoding="ascii")
        program.chmod(0o755)

    def show(self, used: dict[str, int | str], apps: str = "") -> None:
        rows = "".join(f"{index}, {uuid}, {mib}\n" for index, (uuid, mib) in enumerate(used.items()))
        for name, text in (("apps", apps), ("gpus", rows)):
            staged = self._folder / f"{name}.part"
            staged.write_text(text, encoding="ascii")
            staged.rename(self._folder / name)


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSmi:
    return FakeSmi(tmp_path / "bin", monkeypatch)


def baseline(wait_s: float = 0.0) -> GpuBaseline:
    recorded = GpuBaseline(tolerance_mib=200, wait_s=wait_s)
    recorded.record()
    return recorded


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        (None, {A: 500, B: 10}),
        ("1", {B: 10}),
        ("0, 1", {A: 500, B: 10}),
        ("GPU-aaaa", {A: 500}),
        ("MIG-cccc", {A: 500, B: 10}),
        ("", None),
        ("-1", None),
    ],
)
def test_only_visible_gpus_count(
    smi: FakeSmi, monkeypatch: pytest.MonkeyPatch, visible: str | None, seen: dict[str, int] | None
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert used_mib() == seen


def test_a_gpu_without_a_memory_reading_does_not_count(smi: FakeSmi) -> None:
    smi.show({A: "[N/A]", B: 3})
    assert used_mib() == {B: 3}


def test_a_machine_without_nvidia_smi_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert used_mib() is None
    baseline().wait_until_free()


@pytest.mark.parametrize("shell", ["exit 9\n", "sleep 60 & exec sleep 60\n"], ids=["fails", "hangs"])
def test_an_nvidia_smi_that_fails_or_hangs_from_the_start_counts_as_no_gpu(
    smi: FakeSmi, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setattr(gpu, "QUERY_S", 0.5)
    smi.answer_with(shell)
    began = time.monotonic()
    baseline().wait_until_free()
    assert time.monotonic() - began < 10


def test_a_stage_starts_immediately_within_the_tolerance(smi: FakeSmi) -> None:
    before = baseline()
    smi.show({A: 700, B: 0})
    before.wait_until_free()


def test_a_stage_waits_for_memory_that_becomes_free_in_time(smi: FakeSmi) -> None:
    before = baseline(wait_s=30)
    smi.show({A: 9000, B: 10})
    threading.Timer(1.0, smi.show, [{A: 500, B: 10}]).start()
    began = time.monotonic()
    before.wait_until_free()
    assert 0.9 < time.monotonic() - began < 20


def test_memory_that_stays_in_use_fails_the_stage_and_names_the_holder(smi: FakeSmi) -> None:
    before = baseline()
    smi.show({A: 9000, B: 10}, apps=f"{A}, 4711, /usr/bin/python3, 8500\n{B}, 12, other, 5\n")
    with pytest.raises(CapsuleError) as caught:
        before.wait_until_free()
    assert caught.value.cause == "gpu_memory"
    assert str(caught.value).endswith(
        f"{A}: 9000 MiB, 500 before the first capsule; held by /usr/bin/python3 (process 4711, 8500 MiB)"
    )


def test_an_unnamed_holder_is_reported_as_unnamed(smi: FakeSmi) -> None:
    before = baseline()
    smi.show({A: 9000, B: 10})
    with pytest.raises(CapsuleError, match="held by a process that nvidia-smi does not name"):
        before.wait_until_free()


def test_an_nvidia_smi_that_stops_answering_fails_the_stage(smi: FakeSmi) -> None:
    before = baseline()
    smi.answer_with("exit 15\n")
    with pytest.raises(CapsuleError, match="has not answered for 0 s, and did before") as caught:
        before.wait_until_free()
    assert caught.value.cause == "gpu_memory"


@pytest.mark.parametrize("warm", [True, False])
def test_only_a_merge_starts_on_a_gpu_that_is_not_free(tmp_path: Path, smi: FakeSmi, warm: bool) -> None:
    python = interpreter(tmp_path / "python", "os._exit(7)")
    runner = Capsules(CapsuleSettings(warm=warm, python=python, gpu_wait_s=0), tmp_path / "home")
    try:
        with pytest.raises(CapsuleError, match="exit code 7"):
            runner.run(GENERATE, tmp_path / "first")
        smi.show({A: 9000, B: 10})
        with pytest.raises(CapsuleError, match="not free after 0 s"):
            runner.run(GENERATE, tmp_path / "second")
        with pytest.raises(CapsuleError, match="exit code 7"):
            runner.run(MERGE, tmp_path / "third")
    finally:
        runner.close()


HOLD = (
    "import torch, time; t = torch.zeros(1 << 30, dtype=torch.uint8, device='cuda'); print(flush=True); time.sleep(60)"
)


@pytest.mark.gpu
def test_a_real_gpu_reports_memory_in_use_and_memory_freed() -> None:
    if shutil.which("nvidia-smi") is None or not used_mib():
        pytest.skip("no NVIDIA GPU here, or no nvidia-smi")
    before = GpuBaseline(tolerance_mib=200, wait_s=0)
    before.record()
    holder = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(CapsuleError, match="before the first capsule; held by"):
            before.wait_until_free()
    finally:
        holder.kill()
        holder.communicate()
    patient = GpuBaseline(tolerance_mib=200, wait_s=30)
    patient._before, patient._recorded = before._before, True
    patient.wait_until_free()


@pytest.mark.gpu
def test_a_capsule_forked_from_a_warm_process_uses_the_gpu(tmp_path: Path) -> None:
    if shutil.which("nvidia-smi") is None or not used_mib():
        pytest.skip("no NVIDIA GPU here, or no nvidia-smi")
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"task_id": "a", "prompt": "def f(", "stop": "end"}\n', encoding="utf-8")
    model = shipped("data", "lab", "base").resolve()
    runner = Capsules(CapsuleSettings(), tmp_path / "home")
    try:
        runner.run(GenerateJob(model=model, prompts=prompts, max_new_tokens=4, batch_rows=1), tmp_path / "work")
    finally:
        runner.close()
    usage = Outcome.model_validate_json((tmp_path / "work" / OUTCOME_FILE).read_bytes()).usage
    assert usage is not None
    assert usage.device == "cuda"
