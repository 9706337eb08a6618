"""The usage meter: the resources that capsules used since it was last read, which are the cost of a stage."""

from __future__ import annotations

from autosurgeon.core.usage import DeviceUsage, Usage, known_max, known_sum

NOTHING = Usage(gpu_seconds=0.0)
"""No capsule has run."""


class Meter:
    """Accumulates the usage of capsules until it is read."""

    def __init__(self) -> None:
        self._used = NOTHING

    def see(self, held_bytes: int) -> None:
        """Record the current host memory of a capsule with its child processes."""
        self._used = self._used.model_copy(
            update={"peak_host_bytes": known_max(self._used.peak_host_bytes, held_bytes or None)}
        )

    def count(self, seconds: float, reported: DeviceUsage | None) -> None:
        """Add a capsule that ended after so many seconds; None if it died before it could report its usage."""
        used = self._used
        on_gpu = None if reported is None else seconds if reported.device == "cuda" else 0.0
        self._used = Usage(
            # One unknown value makes the sum unknown, because the missing part could be of any size.
            gpu_seconds=None if on_gpu is None or used.gpu_seconds is None else used.gpu_seconds + on_gpu,
            peak_host_bytes=used.peak_host_bytes,
            peak_gpu_bytes=known_max(used.peak_gpu_bytes, reported.peak_gpu_bytes if reported else None),
            energy_joules=known_sum(used.energy_joules, reported.energy_joules if reported else None),
        )

    def read(self) -> Usage:
        """Return the usage since the last reading, and start again from zero."""
        used, self._used = self._used, NOTHING
        return used
