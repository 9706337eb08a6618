"""`autosurgeon report`: the report of a pass or of the campaign."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.loop.pass_reports import Sources

FORMS = ("md", "html")


def report(
    what: Annotated[
        str, typer.Argument(metavar="PASS|campaign", help="Number of a pass, or `campaign` for all passes.")
    ],
    workspace: WorkspaceOption = Path("."),
    form: Annotated[
        str | None, typer.Option("--format", help="`md` or `html`; by the suffix of --out when empty.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file instead of standard output.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a pass's recipe, the verdict of each gate, the flipped tasks and the cost; or a summary of all passes.

    `run` writes the same pages into `reports/` for every finished pass.
    """
    from autosurgeon.errors import UserError

    if what != "campaign" and not what.isdecimal():
        raise UserError("a report covers a pass or the campaign", got=repr(what), wanted="a number or `campaign`")
    if form not in (None, *FORMS):
        raise UserError("there is no such format", got=repr(form), wanted="md or html")
    chosen = form or ("html" if out is not None and out.suffix == ".html" else "md")
    text = _report_text(what, workspace, chosen, as_json=as_json)
    if out is not None:
        _write(out, text)
    else:
        _show(text, rich=chosen == "md" and not as_json)


def _report_text(what: str, workspace: Path, form: str, *, as_json: bool) -> str:
    """Render the report; engines are imported here, so that a mistyped command fails at once."""
    from autosurgeon.audit.constraint_table import constraints_of
    from autosurgeon.audit.render_reports import render_campaign, render_pass
    from autosurgeon.cli.render import json_text
    from autosurgeon.loop.pass_reports import read_campaign_report, read_pass_report

    with _sources(workspace) as sources:
        if what == "campaign":
            campaign = read_campaign_report(sources)
            found = campaign.model_dump(mode="json")
            page = "" if as_json else render_campaign(campaign, "html" if form == "html" else "md")
        else:
            one_pass = read_pass_report(sources, int(what))
            ticks = [tick.model_dump(mode="json") for tick in constraints_of(one_pass)]
            found = {"headline": one_pass.headline, "constraints": ticks, **one_pass.model_dump(mode="json")}
            page = "" if as_json else render_pass(one_pass, "html" if form == "html" else "md")
    return json_text(found) + "\n" if as_json else page


@contextlib.contextmanager
def _sources(workspace: Path) -> Iterator[Sources]:
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.loop.pass_reports import Sources
    from autosurgeon.wiring import open_store, settings_of, tasks_in

    with open_store(workspace) as store:
        settings = settings_of(workspace)
        tasks = tasks_in(workspace, settings)
        yield Sources(store, Workspace(workspace.resolve()), tasks, settings.search, settings.audit.mask, settings.loop)


def _write(path: Path, text: str) -> None:
    from autosurgeon.errors import UserError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError("a report cannot be written", got=error.strerror, where=path) from error


def _show(text: str, *, rich: bool) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    if rich and console.is_terminal:
        console.print(Markdown(text, hyperlinks=False))
    else:
        print(text, end="")
