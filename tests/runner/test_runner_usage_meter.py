"""The usage meter sums the usage of capsules, and the usage of a capsule that died is unknown."""

from __future__ import annotations

from autosurgeon.core.usage import DeviceUsage, Usage
from autosurgeon.runner.usage_meter import NOTHING, Meter

ON_GPU = DeviceUsage(device="cuda", peak_gpu_bytes=900, energy_joules=70.0)


def test_seconds_and_energy_are_summed_and_the_highest_peaks_are_kept() -> None:
    meter = Meter()
    for held, seconds, reported in ((10, 2.0, ON_GPU), (30, 5.0, DeviceUsage(device="cpu")), (20, 1.5, ON_GPU)):
        meter.see(held)
        meter.count(seconds, reported)
    assert meter.read() == Usage(gpu_seconds=3.5, peak_host_bytes=30, peak_gpu_bytes=900, energy_joules=140.0)
    assert meter.read() == NOTHING == Usage(gpu_seconds=0.0)


def test_the_gpu_seconds_of_a_capsule_that_died_are_unknown() -> None:
    meter = Meter()
    meter.count(2.0, ON_GPU)
    meter.see(0)
    meter.count(9.0, None)
    meter.count(2.0, ON_GPU)
    assert meter.read() == Usage(gpu_seconds=None, peak_gpu_bytes=900, energy_joules=140.0)
