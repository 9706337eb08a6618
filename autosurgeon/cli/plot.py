"""Plots for people, as PNG; matplotlib is loaded when one is asked for. Those of the reports: `audit.plots`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autosurgeon.errors import UserError

if TYPE_CHECKING:
    from autosurgeon.audit.simulate import Tally

COLOURS = {
    "accept": "tab:green",
    "hold": "tab:orange",
    "reject": "tab:red",
    "untold": "tab:gray",
    "stop": "tab:blue",
    "flips": "black",
}
NAMES = {"untold": "cannot be replayed", "flips": "flips against what was decided"}


def draw_tallies(path: Path, title: str, tallies: Sequence[Tally]) -> None:
    """Counts of verdicts over the values of a threshold; UserError where the file cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # draws without a display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    values = [tally.value for tally in tallies]
    for name, colour in COLOURS.items():
        counts = [getattr(tally, name) for tally in tallies]
        style = {"linestyle": "--"} if name == "flips" else {"marker": "o", "markersize": 3}
        axes.plot(values, counts, color=colour, label=NAMES.get(name, name), **style)
    # Titles are names of rules and policies, so a `$` in one is a `$` and no formula.
    axes.set_title(title.replace("$", r"\$"))
    axes.set_xlabel("threshold")
    axes.set_ylabel("decisions")
    axes.set_ylim(bottom=0)
    axes.legend()
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise UserError("the plot cannot be written", got=error.strerror, where=path) from error
