"""`autosurgeon study`: what past passes reveal about the search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.proposer.review import Review

MOST_SHOWN = 30


def study(
    workspace: WorkspaceOption = Path("."),
    last: Annotated[int, typer.Option("--last", "-n", min=1, help="Number of newest passes.")] = 1000,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE.png", help="Plot into this PNG file.")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--export",
            metavar="sqlite:///FILE",
            help="Write a new Optuna storage for optuna-dashboard: such a URL, or the path of a journal.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which parameters matter, what was tried, which rules refused it, and which region was not refused."""
    from autosurgeon.cli.render import print_json, say
    from autosurgeon.loop.search.plateau import plateau_line, read_plateau
    from autosurgeon.proposer.optuna_storage import export
    from autosurgeon.proposer.review import review
    from autosurgeon.wiring import open_store, settings_of

    settings = settings_of(workspace)
    with open_store(workspace) as store:
        records, plateau = store.last_passes(last), read_plateau(store, settings.loop)
    found = review(records, settings.search, settings.organ.reference_lr)
    if plot is not None:
        from autosurgeon.cli.study_plot import draw_review

        draw_review(plot, found)
    if target is not None:
        name = workspace.resolve().name or "autosurgeon"
        count = export(target, name, records, settings.search, settings.organ.reference_lr)
    if as_json:
        print_json(found.model_dump(mode="json") | {"plateau": plateau})
        return
    _print(found)
    for line in (*found.caveats, plateau_line(plateau)):
        if line is not None:
            say(line)
    if target is not None:
        say(f"exported: {count} of {found.passes} finished passes as study {name!r} into {target}")


def _print(found: Review) -> None:
    from autosurgeon.cli.render import print_table, say

    if not found.passes:
        say("no pass has run yet")
        return
    shares = [found.climbing or {}, found.not_refused or {}]
    if any(shares):
        rows = [(r.name, *(f"{of[r.name]:.2f}" if r.name in of else None for of in shares)) for r in found.region]
        print_table("importance, of 1", ("parameter", "for climbing on dev", "for not being refused"), rows)
    ranges = [(one.name, one.promoted, one.not_refused, one.refused) for one in found.region]
    print_table("tried values", ("parameter", "promoted", "not refused", "refused"), ranges)
    objections = [(one.rule, one.passes, f"{one.largest:.3g}") for one in found.objections]
    if objections:
        print_table("refusals", ("rule", "passes", "largest size"), objections)
    history = [
        (
            tried.number,
            tried.state.value,
            None if tried.climb is None else f"{tried.climb:g}",
            ", ".join(f"{rule} {size:.3g}" for rule, size in tried.refused.items()),
            None if tried.spent_share is None else f"{tried.spent_share:.0%}",
            *(value if isinstance(value, str) else f"{value:.3g}" for value in tried.params.values()),
        )
        for tried in found.history[-MOST_SHOWN:]
    ]
    names = tuple(one.name for one in found.region)
    print_table("history", ("pass", "state", "climb", "refused by", "share of tokens", *names), history)
    if len(history) < found.passes:
        say(f"newest {len(history)} of {found.passes} passes; `--json` has all")
