"""A training by as many processes as its job asks for.

Peft is imported in each of them and not before they part: bitsandbytes, which it imports, wakes the driver, and what is
forked from a process that has done so can use no GPU.
"""

from __future__ import annotations

from pathlib import Path

from autosurgeon.capsule.distributed import Ranks, together
from autosurgeon.core.jobs import TrainJob, TrainResult


def train(job: TrainJob, workdir: Path) -> TrainResult:
    """Train as `capsule.train` says, in one process or several.

    Raises:
        UserError: as there; or there are fewer GPUs than processes.
        PackError: as there.
        MemoryError: memory ran out in one of several.
        RuntimeError: one of several failed otherwise, or was killed.

    """
    if job.processes == 1:
        from autosurgeon.capsule import train as alone

        return alone.train(job, workdir)

    def share(ranks: Ranks) -> TrainResult | None:
        from autosurgeon.capsule.train import train_share

        return train_share(job, workdir, ranks)

    return together(job.processes, workdir, share, TrainResult)
