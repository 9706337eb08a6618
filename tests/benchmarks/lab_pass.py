"""Where the time of lab passes goes: seconds per stage, and the share outside train, generate and grade.

    python tests/benchmarks/lab_pass.py [--passes 4] [--seed 7]

Runs the real loop in a fresh workspace and prints a table. Nothing here is a test: no machine's speed can fail it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Self

from rich.console import Console

from autosurgeon.bench.grade import Grader
from autosurgeon.cli.logs import logging_to
from autosurgeon.cli.view import PlainReporter
from autosurgeon.core.jobs import GenerateJob, Result, TrainJob
from autosurgeon.core.ports import CapsuleRunner, OnProgress
from autosurgeon.core.value import Value
from autosurgeon.loop.baseline.baseline import pass_scope
from autosurgeon.loop.engine.limits import Limits
from autosurgeon.loop.run_passes import run
from autosurgeon.sections import GradingSettings
from autosurgeon.wiring import open_loop, settings_of


@dataclass
class TimedCapsules:
    """Capsules, with what they take added up by kind of work."""

    inner: CapsuleRunner
    seconds: dict[str, float]

    def warm_up(self) -> None:
        self.inner.warm_up()

    def run(self, job: Value, workdir: Path, on_progress: OnProgress | None = None) -> Result:
        began = time.perf_counter()
        try:
            return self.inner.run(job, workdir, on_progress)
        finally:
            kind = "train" if isinstance(job, TrainJob) else "generate" if isinstance(job, GenerateJob) else "merge"
            self.seconds[kind] += time.perf_counter() - began


class TimedGrader(Grader):
    """A grader that adds up for how long it was open."""

    def __init__(self, settings: GradingSettings, seconds: dict[str, float]) -> None:
        super().__init__(settings)
        self._seconds = seconds
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._seconds["grade"] += time.perf_counter() - self._began


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    seconds: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        quiet = PlainReporter(Console(quiet=True))
        settings = settings_of(root, seed=options.seed)
        brakes = Limits(passes=options.passes)
        with logging_to(root / "log"), open_loop(root, settings, quiet, brakes) as ins:
            ins.capsules.warm_up()
            began = time.perf_counter()
            capsules, grader = TimedCapsules(ins.capsules, seconds), TimedGrader(settings.grading, seconds)
            ins = replace(ins, capsules=capsules, grader=grader)
            run(ins)
            wall = time.perf_counter() - began
            stages: dict[str, list[float]] = defaultdict(list)
            for number in range(1, options.passes + 1):
                for stage in ins.store.stages(pass_scope(number)):
                    stages[stage.name].append(stage.seconds)
    print(f"{options.passes} passes, seed {options.seed}: {wall:.1f} s, the bench of the base included\n")
    print(f"{'stage':12} {'times':>5} {'mean s':>8} {'total s':>8}")
    for name, times in stages.items():
        print(f"{name:12} {len(times):5} {sum(times) / len(times):8.2f} {sum(times):8.2f}")
    print(f"\n{'work':12} {'total s':>8} {'share':>7}")
    for name, total in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{name:12} {total:8.2f} {total / wall:7.1%}")
    outside = wall - sum(seconds[name] for name in ("train", "generate", "grade"))
    print(f"\noutside train, generate and grade: {outside:.2f} s, {outside / wall:.1%} (goal: under 15 %)")
    cpu = [
        _cpu([sys.executable, "-c", "pass"]),
        _cpu([sys.executable, "-m", "autosurgeon", "--help"]),
    ]
    print(f"`--help`: {cpu[1] - cpu[0]:.2f} s of CPU beyond Python's own {cpu[0]:.2f} s (goal: under 0.3 s)")


def _cpu(command: list[str]) -> float:
    best = float("inf")
    for _ in range(5):
        before = getrusage(RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = getrusage(RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


if __name__ == "__main__":
    main()
