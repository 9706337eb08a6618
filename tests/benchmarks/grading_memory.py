"""Peak memory of grading few and many samples: it must not grow with their number.

    python tests/benchmarks/grading_memory.py [--counts 1000,100000] [--jobs 2]

Each count runs in a fresh process, on one cheap task with programs that all differ and are made one at a time. Prints
the peak of that process and the sum of its jails' peaks, which the kernel keeps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

from processes import descendants, peak_bytes

from autosurgeon.bench.grade import Grader, Submission
from autosurgeon.core.task import Case, Split, Task
from autosurgeon.sections import GradingSettings

TASK = Task(
    task_id="memory/0",
    bench="memory",
    kind="function",
    prompt="",
    entry_point="solve",
    cases=(Case(given="(20,)", wanted="21"),),
    reference="def solve(x):\n    return x + 1\n",
    cluster="memory/0",
    split=Split.DEV,
)


def programs(count: int) -> Iterator[Submission]:
    """Right answers, no two of them alike."""
    for number in range(count):
        yield Submission(TASK, f"def solve(x):\n    return x + {number} - {number - 1}\n")


def measure(count: int, jobs: int) -> dict[str, float]:
    """Grade so many, here."""
    began = time.perf_counter()
    with Grader(GradingSettings(workers=jobs)) as grader:
        verdicts = Counter(grade.verdict for grade in grader.stream(programs(count)))
        jails = sum(peak_bytes(pid) for pid in descendants())
    assert verdicts == {"pass": count}, verdicts
    return {"seconds": time.perf_counter() - began, "own": peak_bytes(), "jails": jails}


def main() -> None:
    """Measure each count in a process of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="1000,100000")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--here", type=int, metavar="COUNT", help="measure this one count in this process")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.here, options.jobs)))
        return
    print(f"{'samples':>9} {'seconds':>8} {'samples/s':>10} {'own MB':>8} {'jails MB':>9}")
    peaks = []
    for count in map(int, options.counts.split(",")):
        command = [sys.executable, __file__, "--here", str(count), "--jobs", str(options.jobs)]
        figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        peaks.append(figures["own"] + figures["jails"])
        speed = f"{figures['seconds']:8.1f} {count / figures['seconds']:10.1f}"
        print(f"{count:9} {speed} {figures['own'] / 1e6:8.1f} {figures['jails'] / 1e6:9.1f}", flush=True)
    print(f"the last over the first: {peaks[-1] / peaks[0]:.3f} x the memory")


if __name__ == "__main__":
    main()
