"""Output of `autosurgeon bench`: scores and checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from autosurgeon.errors import ExitCode

if TYPE_CHECKING:
    from autosurgeon.bench.check_references import TaskCheck
    from autosurgeon.bench.score import BenchScore, Score


def print_score(score: Score, out: Path, *, as_json: bool) -> None:
    """Print a table, or JSON; exit code 6 if some samples cannot be graded."""
    from autosurgeon.cli.render import print_json, print_table, say

    if as_json:
        print_json(score.model_dump(mode="json"))
    else:
        print_table(
            f"results in {out}",
            ("bench", "tasks", "samples", "passed", "pass@k", "tiers", "jails", "failed by"),
            [
                (
                    bench.bench,
                    bench.tasks,
                    bench.samples,
                    bench.passed,
                    ", ".join(f"{k}: {value:.1%}" for k, value in bench.pass_at.items())
                    + (f", base 1: {bench.base_pass_at_1:.1%}" if bench.base_pass_at_1 is not None else ""),
                    _counts(bench.tiers),
                    _counts(bench.jails),
                    _counts(bench.causes),
                )
                for bench in score.benches
            ],
        )
        for bench in score.benches:
            for line in remarks(bench):
                say(line)
    if score.infra:
        raise typer.Exit(ExitCode.WORLD)


def remarks(bench: BenchScore) -> Iterator[str]:
    """Yield the remarks below the table on one bench."""
    for what, ids in (
        ("without samples, counted as not passed", bench.without_samples),
        ("graded in the weaker tier, tests and program in one interpreter", bench.shared),
        ("could not be graded, so they have no score", bench.infra),
    ):
        if ids:
            yield f"{bench.bench}: {len(ids)} {what}: {', '.join(ids[:10])}{' ...' if len(ids) > 10 else ''}"
    if bench.quarantined:
        yield f"{bench.bench}: {bench.quarantined} in quarantine, not counted"


def _counts(counted: object) -> str:
    return ", ".join(f"{name} {count}" for name, count in dict(counted).items())  # type: ignore[call-overload]


def print_checks(found: list[TaskCheck], level: str) -> None:
    """Print the tasks to look at, and the counts."""
    from autosurgeon.bench.check_references import TIMES
    from autosurgeon.cli.render import print_table, say

    sound = sum(checked.state == "sound" for checked in found)
    mutants = sum(checked.mutants for checked in found)
    alive = sum(len(checked.survivors) for checked in found)
    shared = [checked.task_id for checked in found if checked.tier == "shared"]
    rows: list[tuple[str, str, str]] = [(c.task_id, c.state, c.detail) for c in found if c.state != "sound"]
    rows += [(c.task_id, "weak tests", f"pass: {', '.join(c.survivors)}") for c in found if c.survivors]
    if rows:
        print_table("tasks to look at", ("task", "finding", "detail"), rows)
    say(f"{sound} of {len(found)} references passed {TIMES} times of {TIMES}, in the {level} jail")
    for state in ("broken", "flaky", "no reference"):
        named = [checked.task_id for checked in found if checked.state == state]
        if named:
            say(f"{len(named)} {state}: {', '.join(named[:20])}{' ...' if len(named) > 20 else ''}")
    say(f"{mutants - alive} of {mutants} wrong programs failed; those that passed are listed above")
    say(f"{len(shared)} tasks need the weaker tier{': ' + ', '.join(shared) if shared else ''}")
