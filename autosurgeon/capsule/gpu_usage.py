"""The GPU memory and energy that a job used, as torch and the driver report them in this process."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autosurgeon.capsule.workdir import write_whole
from autosurgeon.core.usage import DeviceUsage, known_sum

NVML = "libnvidia-ml.so.1"
UUID_BYTES = 96
RANK_FILE = "usage-{rank}.json"


class Gauge:
    """Measures the usage from its construction, at the start of a job, to `read`, at its end."""

    def __init__(self) -> None:
        self._before = energy_mj()
        if (cuda := _cuda()) is not None:  # this process has run a job before
            for index in range(cuda.device_count()):
                cuda.reset_peak_memory_stats(index)

    def read(self) -> DeviceUsage:
        """Return the usage since construction; GPUs that torch did not use do not count."""
        cuda = _cuda()
        if cuda is None:
            return DeviceUsage(device="cpu")
        devices = [index for index in range(cuda.device_count()) if cuda.max_memory_reserved(index)]
        used = {f"GPU-{cuda.get_device_properties(index).uuid}" for index in devices}
        return DeviceUsage(
            device="cuda",
            peak_gpu_bytes=sum(cuda.max_memory_reserved(index) for index in devices),
            energy_joules=spent_joules(self._before, energy_mj(), used),
        )


def write_rank_usage(gauge: Gauge, rank: int, workdir: Path) -> None:
    """Write the usage of one rank to a file, for the capsule that waits for the ranks."""
    write_whole(workdir / RANK_FILE.format(rank=rank), gauge.read().model_dump_json())


def usage_of_ranks(workdir: Path) -> list[DeviceUsage]:
    """Return the usage of each rank that could report it; empty for a training in one process."""
    files = sorted(workdir.glob(RANK_FILE.format(rank="*")))
    return [DeviceUsage.model_validate_json(file.read_bytes()) for file in files]


def summed(usages: list[DeviceUsage]) -> DeviceUsage:
    """Return the sum of the known usage of several processes; those without a GPU add nothing."""
    used = [usage for usage in usages if usage.device == "cuda"]
    if not used:
        return DeviceUsage(device="cpu")
    return DeviceUsage(
        device="cuda",
        peak_gpu_bytes=functools.reduce(known_sum, (one.peak_gpu_bytes for one in used)),
        energy_joules=functools.reduce(known_sum, (one.energy_joules for one in used)),
    )


def spent_joules(before: dict[str, int], after: dict[str, int], used: set[str]) -> float | None:
    """Return the joules of some GPUs between two readings; None if the driver does not report one of them."""
    if not used or not used <= before.keys() & after.keys():
        return None
    return sum(after[uuid] - before[uuid] for uuid in used) / 1000


def _cuda() -> Any:
    """Return `torch.cuda`, if this process has used it; a merge does not import torch for this."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def energy_mj() -> dict[str, int]:
    """Return the millijoules of each GPU since the driver was loaded, by UUID; empty without NVML."""
    try:
        nvml = ctypes.CDLL(NVML)
    except OSError:
        return {}
    if nvml.nvmlInit_v2() != 0:
        return {}
    try:
        return dict(_each_energy(nvml))
    finally:
        nvml.nvmlShutdown()


def _each_energy(nvml: ctypes.CDLL) -> Iterator[tuple[str, int]]:
    count = ctypes.c_uint()
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return
    for index in range(count.value):
        handle, spent = ctypes.c_void_p(), ctypes.c_ulonglong()
        uuid = ctypes.create_string_buffer(UUID_BYTES)
        with contextlib.suppress(AttributeError):  # the driver is too old for one of the calls
            errors = (
                nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)),
                nvml.nvmlDeviceGetUUID(handle, uuid, UUID_BYTES),
                nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(spent)),
            )
            if not any(errors):
                yield uuid.value.decode("ascii"), spent.value
