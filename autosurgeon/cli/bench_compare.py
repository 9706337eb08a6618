"""`autosurgeon bench compare`: two result files, and the tasks that flipped between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.options import JsonOption

if TYPE_CHECKING:
    from autosurgeon.bench.compare_results import BenchComparison, Comparison, FileCount, Share


def compare(
    a: Annotated[Path, typer.Argument(help="Results of the earlier model.")],
    b: Annotated[Path, typer.Argument(help="Results of the later model, on the same tasks.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two result files task by task: rates, lost and gained tasks, and p-values.

    The first sample of a task decides whether it is won; pass@k uses all samples. A task that cannot be graded in one
    of the files is left out of rates and tests,  by name.
    """
    from autosurgeon.bench.compare_results import compare_results
    from autosurgeon.bench.results import read_results
    from autosurgeon.cli.render import print_json

    found = compare_results(read_results(a), read_results(b), (str(a), str(b)))
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        _show(found)


def _show(found: Comparison) -> None:
    from autosurgeon.cli.render import one_line, print_table, say

    say(f"A: {_described(found.a)}")
    say(f"B: {_described(found.b)}")
    benches = [*found.benches, found.total] if len(found.benches) > 1 else list(found.benches)
    columns = ("bench", "tasks", "A passes", "A rate", "B passes", "B rate", "lost", "gained", "p loss", "p two-sided")
    print_table("first samples, with 95 % Wilson intervals and exact McNemar p", columns, [_row(b) for b in benches])
    draws = [(one_line(b.bench), d.k, _percent(d.a), _percent(d.b)) for b in benches for d in b.draws]
    if draws:
        print_table("pass@k of all samples, unbiased", ("bench", "k", "A", "B"), draws)
    flips = [("lost", one_line(flip.task_id), flip.cause) for flip in found.lost]
    flips += [("gained", one_line(flip.task_id), flip.cause) for flip in found.gained]
    if flips:
        print_table("flips, with the cause of the failure", ("flip", "task", "cause"), flips)
    else:
        say("no task flipped")
    only = [("only in A", one_line(task_id)) for task_id in found.only_a]
    only += [("only in B", one_line(task_id)) for task_id in found.only_b]
    if only:
        print_table("tasks of one file", ("file", "task"), only)
    if found.infra:
        rows = [(one_line(task.task_id), task.a, task.b) for task in found.infra]
        print_table("tasks that could not be graded", ("task", "infra rows of A", "infra rows of B"), rows)
    for line in _remarks(found):
        say(line)


def _described(file: FileCount) -> str:
    from autosurgeon.cli.render import one_line

    tiers = ", ".join(f"{tier} {rows}" for tier, rows in file.tiers.items())
    jails = ", ".join(f"{jail} {rows}" for jail, rows in file.jails.items())
    how = f"; tiers: {tiers}; jails: {jails}" if tiers else ""
    return f"{one_line(file.name)}: {file.rows} rows of {file.tasks} tasks, {file.infra_rows} infra{how}"


def _row(bench: BenchComparison) -> tuple[object, ...]:
    from autosurgeon.cli.render import one_line

    shares = (bench.a.passes, _rate(bench.a), bench.b.passes, _rate(bench.b))
    chances = (f"{bench.p_loss:.3g}", f"{bench.p_difference:.3g}")
    return (one_line(bench.bench), bench.tasks, *shares, bench.lost, bench.gained, *chances)


def _rate(share: Share) -> str:
    return f"{_percent(share.rate)} ({100 * share.low:.1f} to {100 * share.high:.1f})"


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{100 * rate:.1f} %"


def _remarks(found: Comparison) -> Iterator[str]:
    """Yield the caveats of the table."""
    if found.only_a or found.only_b:
        yield f"tasks not compared: {len(found.only_a)} only in A, {len(found.only_b)} only in B"
    if found.infra:
        rows = f"{found.a.infra_rows} rows in A, {found.b.infra_rows} in B"
        yield (
            f"tasks with infra rows: {len(found.infra)} ({rows}); no score, so they are left out of rates, pass@k "
            "and the paired test"
        )
    if not found.total.tasks:
        yield "warning: no task has a score in both files"
    for where, tasks in (("tiers", found.other_tier), ("levels of jail", found.other_jail)):
        if tasks:
            yield f"warning: {tasks} of {found.total.tasks} compared tasks were graded in different {where}"
