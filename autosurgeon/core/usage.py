"""The machine's resources that capsules used; None means unknown, which is never replaced by 0."""

from __future__ import annotations

from typing import Literal, TypeVar

from autosurgeon.core.value import Value


class DeviceUsage(Value):
    """The resources that a capsule reports of itself."""

    device: Literal["cpu", "cuda"]
    """`cuda` if it used a GPU at all."""
    peak_gpu_bytes: int | None = None
    """The peak memory that torch held on all its GPUs together; None on a CPU."""
    energy_joules: float | None = None
    """The energy of its GPUs from its start to its end, by the driver; None if the driver does not report it."""


class Usage(Value):
    """The resources of all capsules of one attempt of a stage."""

    gpu_seconds: float | None = None
    """Seconds of the capsules that used a GPU; None if one died before it could report."""
    peak_host_bytes: int | None = None
    """The peak resident memory of one capsule with its child processes; None if it was not measured."""
    peak_gpu_bytes: int | None = None
    energy_joules: float | None = None


Number = TypeVar("Number", int, float)


def known_sum(one: Number | None, other: Number | None) -> Number | None:
    """Return the sum of the known values."""
    return one if other is None else other if one is None else one + other


def known_max(one: int | None, other: int | None) -> int | None:
    """Return the largest known value."""
    return one if other is None else other if one is None else max(one, other)
