"""The GPU usage of a job, as torch and the driver report it, and None if they do not."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from autosurgeon.capsule.gpu_usage import Gauge, energy_mj, spent_joules, summed, usage_of_ranks, write_rank_usage
from autosurgeon.core.jobs import Outcome
from autosurgeon.core.usage import DeviceUsage

torch = pytest.importorskip("torch")


def test_energy_is_reported_only_if_every_used_gpu_reports_it() -> None:
    before, after = {"GPU-a": 1000, "GPU-b": 5000}, {"GPU-a": 4000, "GPU-b": 9000}
    assert spent_joules(before, after, {"GPU-a"}) == 3.0
    assert spent_joules(before, after, {"GPU-a", "GPU-b"}) == 7.0
    assert spent_joules(before, after, {"GPU-a", "MIG-c"}) is None
    assert spent_joules({}, after, {"GPU-a"}) is None
    assert spent_joules(before, after, set()) is None


def test_the_usage_of_ranks_is_summed_and_a_waiting_process_adds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited, one = DeviceUsage(device="cpu"), DeviceUsage(device="cuda", peak_gpu_bytes=5, energy_joules=2.0)
    assert summed([waited, one, one]) == DeviceUsage(device="cuda", peak_gpu_bytes=10, energy_joules=4.0)
    mute = DeviceUsage(device="cuda", peak_gpu_bytes=7)
    assert summed([one, mute]) == DeviceUsage(device="cuda", peak_gpu_bytes=12, energy_joules=2.0)
    assert summed([mute, mute]) == DeviceUsage(device="cuda", peak_gpu_bytes=14, energy_joules=None)
    assert summed([waited]) == waited
    assert usage_of_ranks(tmp_path) == []
    monkeypatch.setattr(Gauge, "read", lambda gauge: one)
    for rank in range(2):
        write_rank_usage(Gauge(), rank, tmp_path)
    assert usage_of_ranks(tmp_path) == [one, one]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_only_the_device_is_reported() -> None:
    assert Gauge().read() == DeviceUsage(device="cpu", peak_gpu_bytes=None, energy_joules=None)


def test_a_driver_that_fails_or_is_too_old_reports_no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        nvmlShutdown = staticmethod(lambda: 0)

        def __init__(self, begins: int) -> None:
            self.nvmlInit_v2 = lambda: begins

        def nvmlDeviceGetCount_v2(self, count: Any) -> int:
            count._obj.value = 1
            return 0

    for begins in (1, 0):
        monkeypatch.setattr(ctypes, "CDLL", lambda _, begins=begins: Broken(begins))
        assert energy_mj() == {}


def test_an_outcome_without_usage_still_parses() -> None:
    assert (
        Outcome.model_validate_json('{"format": "autosurgeon.outcome/1", "error": "x", "cause": "crash"}').usage is None
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_job_on_a_gpu_reports_its_peak_memory_and_its_energy() -> None:
    gauge = Gauge()
    first = torch.ones(8192, 8192, device="cuda")
    for _ in range(300):
        first = first @ first * 1e-5
    torch.cuda.synchronize()
    usage = gauge.read()
    assert usage.device == "cuda"
    assert usage.peak_gpu_bytes is not None and usage.peak_gpu_bytes >= 2 * first.nbytes
    assert usage.energy_joules is not None and usage.energy_joules > 1
    del first
    torch.cuda.empty_cache()
    assert (Gauge().read().peak_gpu_bytes or 0) < usage.peak_gpu_bytes
