"""What it costs a lab pass that everything it decides is on the disk: seconds by kind, and the share of its wall time.

    python tests/benchmarks/durability.py [--passes 1] [--repeats 2] [--seed 7] [--folder FOLDER]

The same passes are run as shipped and with nothing flushed (fsync does nothing, SQLite is `synchronous=OFF`; events,
logs and checkpoints are written all the same), in turns. The traced seconds are the figure to go by: two walls differ
by more than this whenever the machine has something else to do. Each kind's seconds are its own, without those of the
kinds inside it. FOLDER is where the workspaces are made, and decides which disk is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console
from sqlalchemy.engine.default import DefaultDialect

from autosurgeon.cli.logs import logging_to
from autosurgeon.cli.view import PlainReporter
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.loop.decide import settle
from autosurgeon.loop.engine.limits import Limits
from autosurgeon.loop.run_passes import run
from autosurgeon.packs.packstore import PackStore
from autosurgeon.store import database, sqlite
from autosurgeon.wiring import open_loop, settings_of

FSYNC, IN_CAPSULES, COMMIT = "fsync", "fsync in capsules", "SQLite commit"
PHYSICAL = (FSYNC, IN_CAPSULES, COMMIT)
"""What waits for the disk; the rest reads, hashes, signs and writes into memory."""
# Capsules have an environment of their own, but for PYTHONPATH, where an interpreter looks for this file.
CAPSULE_SIDE = """
import os, time
flush = os.fsync
def fsync(file):
    began = time.perf_counter()
    if {on}:
        flush(file)
    with open({log!r}, "a") as seconds:
        seconds.write(f"{{time.perf_counter() - began}}\\n")
os.fsync = fsync
"""


class Spans(PlainReporter):
    """Seconds and calls by kind, within passes only; a reporter, since it has to know when those begin and end."""

    def __init__(self, capsules: Path) -> None:
        super().__init__(Console(quiet=True))
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self.wall = 0.0
        self.passes = 0
        self._capsules = capsules
        self._began: float | None = None
        self._inside: list[float] = []

    def pass_started(self, number: int, recipe: Recipe) -> None:
        """Begin to count."""
        self._capsules.write_text("")
        self._began = time.perf_counter()

    def pass_ended(self, record: PassRecord) -> None:
        """Count no more."""
        assert self._began is not None
        self.wall += time.perf_counter() - self._began
        self._began, self.passes = None, self.passes + 1
        seconds = self._capsules.read_text().split()
        self.seconds[IN_CAPSULES] += sum(map(float, seconds))
        self.calls[IN_CAPSULES] += len(seconds)

    def timed(self, kind: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, counted."""

        def counted(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            self._inside.append(0.0)
            try:
                return work(*arguments, **named)
            finally:
                took = time.perf_counter() - began
                own = took - self._inside.pop()
                if self._inside:
                    self._inside[-1] += took
                if self._began is not None:
                    self.seconds[kind] += own
                    self.calls[kind] += 1

        return counted

    def counting_writes(self, begin: Callable[[Any], None]) -> Callable[[Any], None]:
        """The begin of a transaction, counted where it writes."""

        def counted(connection: Any) -> None:
            begin(connection)
            if self._began is not None:
                self.calls["transactions that write"] += connection.get_execution_options()["writes"]

        return counted


@contextlib.contextmanager
def traced(spans: Spans, *, flushed: bool) -> Iterator[None]:
    """Trace this process; flush nothing unless `flushed`."""
    pragmas = sqlite._set_pragmas

    def unsafe(connection: Any, record: Any) -> None:
        pragmas(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    with contextlib.ExitStack() as stack:
        for owner, name, kind in (
            (DefaultDialect, "do_commit", COMMIT),
            (settle, "sign_head", "sign checkpoints"),
            (settle, "project", "decisions.jsonl"),
            (settle, "project_events", "events.jsonl"),
            (settle, "write_live", "live.json"),
            (PackStore, "verify", "read packs back"),
            (PackStore, "commit", "hash and commit packs"),
        ):
            stack.enter_context(patch.object(owner, name, spans.timed(kind, getattr(owner, name))))
        flush = os.fsync if flushed else lambda file: None
        stack.enter_context(patch.object(os, "fsync", spans.timed(FSYNC, flush)))
        stack.enter_context(
            patch.object(database, "begin_transaction", spans.counting_writes(database.begin_transaction))
        )
        if not flushed:
            stack.enter_context(patch.object(sqlite, "_set_pragmas", unsafe))
        yield


def measure(root: Path, options: argparse.Namespace, *, flushed: bool) -> Spans:
    """Run passes in a fresh workspace."""
    root.mkdir()
    log = root / "capsules.txt"
    (root / "sitecustomize.py").write_text(CAPSULE_SIDE.format(on=flushed, log=str(log)))
    before = os.environ.get("PYTHONPATH")
    spans, settings = Spans(log), settings_of(root, seed=options.seed)
    path = os.pathsep.join([str(root), *([before] if before else [])])
    with (
        patch.dict(os.environ, PYTHONPATH=path),
        traced(spans, flushed=flushed),
        logging_to(root / "log"),
        open_loop(root, settings, spans, Limits(passes=options.passes)) as ins,
    ):
        run(ins)
    return spans


def main() -> None:
    """Run both ways in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    found: dict[bool, list[Spans]] = {True: [], False: []}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for turn in range(options.repeats):
            for flushed in (True, False) if turn % 2 == 0 else (False, True):
                spans = measure(Path(folder) / f"{turn}-{flushed}", options, flushed=flushed)
                found[flushed].append(spans)
                print(f"{'flushed' if flushed else 'not flushed':12} {spans.wall / spans.passes:7.2f} s a pass")
    report(found)


def report(found: dict[bool, list[Spans]]) -> None:
    """Means a pass, of both ways side by side."""
    passes = sum(spans.passes for spans in found[True])
    wall = sum(spans.wall for spans in found[True]) / passes
    kinds = sorted({kind for spans in found[True] for kind in spans.seconds}, key=lambda kind: kind not in PHYSICAL)
    print(f"\n{'a pass':24} {'calls':>7} {'seconds':>9} {'not flushed':>12} {'share':>8}")
    mine = {kind: sum(spans.seconds[kind] for spans in found[True]) / passes for kind in kinds}
    for kind in kinds:
        calls = sum(spans.calls[kind] for spans in found[True]) / passes
        off = sum(spans.seconds[kind] for spans in found[False]) / sum(spans.passes for spans in found[False])
        print(f"{kind:24} {calls:7.0f} {mine[kind]:9.3f} {off:12.3f} {mine[kind] / wall:8.2%}")
    writes = sum(spans.calls["transactions that write"] for spans in found[True]) / passes
    physical, whole = sum(mine[kind] for kind in PHYSICAL), sum(mine.values())
    print(f"{writes:.0f} transactions that write")
    print(f"\nwaiting for the disk: {physical:.3f} s, {physical / wall:.2%} of {wall:.1f} s (goal: under 5 %)")
    print(f"with logs, signatures, hashing and reading back: {whole:.3f} s, {whole / wall:.2%}")
    medians = [statistics.median(spans.wall / spans.passes for spans in found[flushed]) for flushed in (True, False)]
    more = medians[0] / medians[1] - 1
    print(f"median wall: {medians[0]:.2f} s flushed, {medians[1]:.2f} s not: {more:+.1%}, noise among it")


if __name__ == "__main__":
    main()
