"""The meter: what the capsules used since it was last read, which is what a stage cost."""

from __future__ import annotations

from autosurgeon.core.usage import DeviceUsage, Usage, known_max, known_sum

NOTHING = Usage(gpu_seconds=0.0)
"""No capsule has run."""


class Meter:
    """Adds up what capsules use, until it is read."""

    def __init__(self) -> None:
        self._used = NOTHING

    def see(self, held_bytes: int) -> None:
        """A look at what a capsule and all that it started hold of the host's memory."""
        self._used = self._used.model_copy(
            update={"peak_host_bytes": known_max(self._used.peak_host_bytes, held_bytes or None)}
        )

    def count(self, seconds: float, told: DeviceUsage | None) -> None:
        """A capsule has ended after so long; None where it did not live to say what it used."""
        used = self._used
        on_gpu = None if told is None else seconds if told.device == "cuda" else 0.0
        self._used = Usage(
            # One that is not known makes the sum unknown, since nobody could tell what is missing of it.
            gpu_seconds=None if on_gpu is None or used.gpu_seconds is None else used.gpu_seconds + on_gpu,
            peak_host_bytes=used.peak_host_bytes,
            peak_gpu_bytes=known_max(used.peak_gpu_bytes, told.peak_gpu_bytes if told else None),
            energy_joules=known_sum(used.energy_joules, told.energy_joules if told else None),
        )

    def read(self) -> Usage:
        """What was used since the last reading; it begins anew."""
        used, self._used = self._used, NOTHING
        return used
