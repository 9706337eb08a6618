"""How much slower a workspace of very many passes is than one of a few.

    python tests/benchmarks/scale.py [--counts 100,100000] [--times 5] [--folder KEPT]

Both are written in bulk by `history.py`, and the smaller has to satisfy `audit verify`. Then the same is done in each
of them in turn, each time by a process of its own: commands with their start-up, the loop's parts without it. Goal:
list, propose and resume take at most 1.5 times as much CPU in the larger one; times by the clock stand beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from processes import peak_bytes

from autosurgeon.loop.engine.instruments import Instruments

COMMANDS = {
    "pass list": ["pass", "list"],
    "status": ["status"],
    "anchors list": ["anchors", "list"],
}
GOAL = 1.5


class Took(NamedTuple):
    """What something took."""

    seconds: float
    cpu: float
    """Seconds of CPU: what can be compared on a machine that has more to do."""
    peak: float
    """Bytes."""


JUDGED = ("pass list", "propose", "resume")


@contextlib.contextmanager
def theatre(root: Path) -> Iterator[Instruments]:
    """The workspace opened, with capsules that obey a script and are never asked."""
    from theatre import small_theatre

    from autosurgeon.wiring import lab_tasks

    with small_theatre(root, lambda generation, task_id: True, tasks=lab_tasks()) as ins:
        yield ins


def now() -> Took:
    """The clocks, from which a part is measured."""
    return Took(time.perf_counter(), time.process_time(), 0)


def propose(ins: Instruments) -> Took:
    """The next recipe from what is stored."""
    from autosurgeon.loop.baseline.baseline import read_baseline
    from autosurgeon.loop.search.propose import propose_next

    standing = read_baseline(ins)
    began = now()
    propose_next(ins, standing)
    return began


def resume(ins: Instruments) -> Took:
    """All that a start does before the pass that was left open goes on."""
    from autosurgeon.loop.baseline.baseline import open_pass, read_baseline
    from autosurgeon.loop.decide.settle import rebuild_projections
    from autosurgeon.loop.run_passes import prepare_run

    began = now()
    prepare_run(ins)
    record = open_pass(ins)
    assert record is not None
    read_baseline(ins, record.live_before)
    rebuild_projections(ins)
    return began


def settle_one(ins: Instruments) -> Took:
    """A refusal with its story and its projections, on a pass that is begun for it."""
    from builders import make_recipe

    from autosurgeon.loop.baseline.baseline import read_baseline
    from autosurgeon.loop.decide.decision_context import decision_context
    from autosurgeon.loop.decide.settle import settle
    from autosurgeon.loop.run_passes import begin_pass
    from autosurgeon.policy.judge import judge

    standing = read_baseline(ins)
    record = begin_pass(ins, make_recipe(), standing, ins.policy)
    began = now()
    judgement = judge(ins.policy, "proposal", {})
    state = settle(ins, record.number, judgement, story=decision_context(ins, record, standing, judgement))
    assert state.is_finished
    return began


PARTS: dict[str, Callable[[Instruments], Took]] = {"propose": propose, "resume": resume, "settle": settle_one}
"""Each comes back with when it began."""


def by_command(root: Path, words: list[str]) -> Took:
    """What a command took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "autosurgeon", *words, "--workspace", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return Took(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10)


def by_part(root: Path, name: str) -> Took:
    """What a part of the loop took."""
    command = [sys.executable, __file__, "--here", str(root), "--part", name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return Took(*json.loads(done.stdout))


def measure(roots: list[Path], times: int) -> bool:
    """Print the medians, side by side; whether the goal was met."""
    met = True
    print(f"{'':14} {'s of CPU':>17} {'ratio':>6} {'s of clock':>17} {'ratio':>6} {'peak MB':>11}")
    for name in (*COMMANDS, *PARTS):
        taken: list[list[Took]] = [[] for _ in roots]
        for _ in range(times):
            for known, root in zip(taken, roots, strict=True):
                known.append(by_command(root, COMMANDS[name]) if name in COMMANDS else by_part(root, name))
        few, many = (Took(*map(median, zip(*known, strict=True))) for known in (taken[0], taken[-1]))
        is_good = name not in JUDGED or many.cpu <= GOAL * few.cpu
        met &= is_good
        cells = [f"{a:8.3f} {b:8.3f} {b / a:6.2f}" for a, b in zip(few[::-1][1:], many[::-1][1:], strict=True)]
        memory = f"{few.peak / 1e6:5.0f} {many.peak / 1e6:5.0f}"
        print(f"{name:14} {' '.join(cells)} {memory}{'' if is_good else '  MISSED'}", flush=True)
    return met


def build(root: Path, count: int) -> None:
    """Write a history, unless it is there."""
    from history import write_history

    from autosurgeon.wiring import lab_tasks

    if root.exists():
        return
    began = time.perf_counter()
    root.mkdir(parents=True)
    write_history(root, lab_tasks(), count)
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    print(f"{count:>9,} passes: {time.perf_counter() - began:.0f} s to build, {size / 1e6:,.0f} MB", flush=True)


def main() -> None:
    """Build, verify, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="100,100000")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the workspaces are made and stay")
    parser.add_argument("--here", type=Path, metavar="WORKSPACE", help="do a part in this process")
    parser.add_argument("--part", choices=sorted(PARTS))
    options = parser.parse_args()
    if options.here:
        with contextlib.redirect_stdout(sys.stderr), theatre(options.here) as ins:
            began = PARTS[options.part](ins)
            took = Took(time.perf_counter() - began.seconds, time.process_time() - began.cpu, peak_bytes())
        print(json.dumps(took))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        counts = [int(count) for count in options.counts.split(",")]
        roots = [folder / str(count) for count in counts]
        for root, count in zip(roots, counts, strict=True):
            build(root, count)
        subprocess.run([sys.executable, "-m", "autosurgeon", "audit", "verify", "-w", str(roots[0])], check=True)
        sys.exit(0 if measure(roots, options.times) else 1)


if __name__ == "__main__":
    main()
