"""Rendering of reports as Markdown for a terminal, or as a self-contained HTML file without scripts.

The templates are data of this package. Both forms escape every value that is not marked as finished. The
Content-Security-Policy of the HTML also forbids it to load or run anything.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from autosurgeon import __version__
from autosurgeon.audit.campaign_report import CampaignReport
from autosurgeon.audit.constraint_table import constraints_of
from autosurgeon.audit.escape import Markdown, code, escaped, fenced, printable
from autosurgeon.audit.pass_report import LiveWins, PassReport, ranked
from autosurgeon.audit.plots import plot_loss, plot_wins
from autosurgeon.core.decision import FactValue, Verdict

if TYPE_CHECKING:
    from jinja2 import Environment

Form = Literal["md", "html"]
SHOWN_IN_FULL = 40
"""Number of flips per kind whose programs are shown; the others are only named."""


def render_pass(report: PassReport, form: Form) -> str:
    """Render the report of one pass."""
    plots = {"loss": _loss_picture(report), "wins": _version_picture(report.trend)} if form == "html" else {}
    shown = {kind: report.flipped(kind)[:SHOWN_IN_FULL] for kind in ("lost", "gained")}
    rest = {kind: report.flipped(kind)[SHOWN_IN_FULL:] for kind in ("lost", "gained")}
    return _render("pass", form, report=report, ticks=constraints_of(report), shown=shown, rest=rest, plots=plots)


def render_campaign(report: CampaignReport, form: Form) -> str:
    """Render the report of all passes of a workspace."""
    plots = {"wins": _campaign_picture(report)} if form == "html" else {}
    return _render("campaign", form, report=report, plots=plots)


def _render(name: str, form: Form, **values: Any) -> str:
    page = _environment(form).get_template(f"{name}.{form}.j2").render(version=__version__, **values)
    lines = [line.rstrip() for line in page.strip().splitlines()] if form == "md" else [page.strip()]
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=2)
def _environment(form: Form) -> Environment:
    """Load the template engine of a form on demand, since most commands render nothing."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("autosurgeon.audit"),
        autoescape=form == "html",
        finalize=escaped if form == "md" else _printable_in_html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "code": code,
        "codes": lambda names: Markdown(", ".join(code(name) for name in names)),
        "fenced": fenced,
        "amount": amount,
        "ranked": ranked,
        "refused": lambda judgement: judgement.verdict != Verdict.ACCEPT,
        "wins_of": lambda live, bench: f"{live.wins[bench]} of {live.tasks[bench]}" if bench in live.wins else "",
        "diff_class": _diff_class,
    }
    return environment


def _printable_in_html(value: object) -> object:
    """Remove control characters before autoescape; finished markup is unchanged."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def amount(value: FactValue, unknown: str = "") -> str:
    """Format a fact for readers; `unknown` stands for a missing one."""
    if value is None:
        return unknown
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _diff_class(line: str) -> str:
    return {"+": "plus", "-": "minus", "@": "at"}.get(line[:1], "")


def _loss_picture(report: PassReport) -> str:
    training = report.training
    if training is None and not report.steps:
        return ""
    last = training.steps if training else report.steps[-1][0]
    readings = training.epochs if training else 0
    means = training.epoch_losses if training else ()
    epochs = [(last * number / readings, loss) for number, loss in enumerate(means, start=1) if readings]
    stops = report.stop_lines
    return _data_uri(plot_loss(report.steps, epochs, stops)) if report.steps or epochs or stops else ""


def _version_picture(trend: tuple[LiveWins, ...]) -> str:
    return _data_uri(plot_wins([(live.version, live) for live in trend], "live version")) if trend else ""


def _campaign_picture(report: CampaignReport) -> str:
    """Plot wins over passes; a version that went live between two passes is placed at the earlier one."""
    at, points = 0, []
    for live in report.trend:
        at = live.during or at
        points.append((at, live))
    last = report.passes[-1].number if report.passes else 0
    return _data_uri(plot_wins(points, "pass", until=last)) if points else ""


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
