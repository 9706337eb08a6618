"""What a job used of the GPUs, as torch and the driver tell it, from this process's point of view."""

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
    """Read at a job's begin, when it is made, and at its end."""

    def __init__(self) -> None:
        self._before = energy_mj()
        if (cuda := _cuda()) is not None:  # a process that has done a job before
            for index in range(cuda.device_count()):
                cuda.reset_peak_memory_stats(index)

    def read(self) -> DeviceUsage:
        """What was used since; a GPU that torch never touched is not counted."""
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


def tell_of_rank(gauge: Gauge, rank: int, workdir: Path) -> None:
    """Leave what one of several processes used where the capsule that waits for them adds it up."""
    write_whole(workdir / RANK_FILE.format(rank=rank), gauge.read().model_dump_json())


def usage_of_ranks(workdir: Path) -> list[DeviceUsage]:
    """What the processes of a training used, as far as they lived to say; none where there was but one."""
    files = sorted(workdir.glob(RANK_FILE.format(rank="*")))
    return [DeviceUsage.model_validate_json(file.read_bytes()) for file in files]


def summed(all_of_it: list[DeviceUsage]) -> DeviceUsage:
    """What several processes used together, as far as it is known; nothing for those that used no GPU."""
    used = [usage for usage in all_of_it if usage.device == "cuda"]
    if not used:
        return DeviceUsage(device="cpu")
    return DeviceUsage(
        device="cuda",
        peak_gpu_bytes=functools.reduce(known_sum, (one.peak_gpu_bytes for one in used)),
        energy_joules=functools.reduce(known_sum, (one.energy_joules for one in used)),
    )


def spent_joules(before: dict[str, int], after: dict[str, int], used: set[str]) -> float | None:
    """Joules of some GPUs between two readings; None where the driver does not tell of one of them."""
    if not used or not used <= before.keys() & after.keys():
        return None
    return sum(after[uuid] - before[uuid] for uuid in used) / 1000


def _cuda() -> Any:
    """What torch knows of CUDA, if this process has used it; a merge does not import torch for this."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def energy_mj() -> dict[str, int]:
    """What each GPU here has used since the driver was loaded, in millijoules by UUID; nothing without NVML."""
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
        with contextlib.suppress(AttributeError):  # a driver that is too old for one of them
            told = (
                nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)),
                nvml.nvmlDeviceGetUUID(handle, uuid, UUID_BYTES),
                nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(spent)),
            )
            if not any(told):
                yield uuid.value.decode("ascii"), spent.value
