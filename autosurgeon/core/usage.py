"""What capsules used of the machine; None is not known, and never a made-up nought."""

from __future__ import annotations

from typing import Literal, TypeVar

from autosurgeon.core.value import Value


class DeviceUsage(Value):
    """What a capsule says of itself."""

    device: Literal["cpu", "cuda"]
    """`cuda` where it used a GPU at all."""
    peak_gpu_bytes: int | None = None
    """Most that torch held of all its GPUs together; None on a CPU."""
    energy_joules: float | None = None
    """What its GPUs used from its beginning to its end, by the driver; None where that does not tell."""


class Usage(Value):
    """What all capsules of a stage's try used."""

    gpu_seconds: float | None = None
    """Seconds of those that used a GPU; None where one did not live to say whether it did."""
    peak_host_bytes: int | None = None
    """Most resident memory of one with all that it started, as far as anybody looked; None where nobody did."""
    peak_gpu_bytes: int | None = None
    energy_joules: float | None = None


Number = TypeVar("Number", int, float)


def known_sum(one: Number | None, other: Number | None) -> Number | None:
    """Both together, as far as they are known."""
    return one if other is None else other if one is None else one + other


def known_max(one: int | None, other: int | None) -> int | None:
    """The larger one, as far as they are known."""
    return one if other is None else other if one is None else max(one, other)
