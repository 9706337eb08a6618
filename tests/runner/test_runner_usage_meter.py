"""The meter: what capsules used is added up, and what one did not live to tell is not known."""

from __future__ import annotations

from autosurgeon.core.usage import DeviceUsage, Usage
from autosurgeon.runner.usage_meter import NOTHING, Meter

ON_GPU = DeviceUsage(device="cuda", peak_gpu_bytes=900, energy_joules=70.0)


def test_seconds_and_energy_are_summed_and_of_peaks_the_highest_is_kept() -> None:
    meter = Meter()
    for held, seconds, told in ((10, 2.0, ON_GPU), (30, 5.0, DeviceUsage(device="cpu")), (20, 1.5, ON_GPU)):
        meter.see(held)
        meter.count(seconds, told)
    assert meter.read() == Usage(gpu_seconds=3.5, peak_host_bytes=30, peak_gpu_bytes=900, energy_joules=140.0)
    assert meter.read() == NOTHING == Usage(gpu_seconds=0.0)


def test_seconds_of_a_capsule_that_did_not_live_to_tell_are_not_made_up() -> None:
    meter = Meter()
    meter.count(2.0, ON_GPU)
    meter.see(0)
    meter.count(9.0, None)
    meter.count(2.0, ON_GPU)
    assert meter.read() == Usage(gpu_seconds=None, peak_gpu_bytes=900, energy_joules=140.0)
