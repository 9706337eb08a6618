"""Plots of simulations as PNG; matplotlib is imported on demand. `audit.plots` has the plots of reports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autosurgeon.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from autosurgeon.audit.simulate_threshold import Tally as Threshold
    from autosurgeon.simulator.simulated_campaign import Tally

COLOURS = {
    "accept": "tab:green",
    "hold": "tab:orange",
    "reject": "tab:red",
    "unreplayable": "tab:gray",
    "stop": "tab:blue",
    "flips": "black",
}
NAMES = {"unreplayable": "cannot be replayed", "flips": "flips"}


@contextlib.contextmanager
def saved_figure(path: Path, width: float, font_size: float = 10) -> Iterator[Figure]:
    """Yield a figure that is saved as PNG when the block ends; UserError if the file cannot be written."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # needs no display
    from matplotlib.figure import Figure

    # Names of rules and policies are in the texts, so `$` does not start a formula.
    with rc_context({"text.parse_math": False, "font.size": font_size}):
        figure = Figure(figsize=(width, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        try:
            figure.savefig(path, format="png", dpi=120)
        except OSError as error:
            raise UserError("the plot cannot be written", got=error.strerror, where=path) from error


def draw_tallies(path: Path, title: str, tallies: Sequence[Threshold]) -> None:
    """Plot the counts of verdicts over a threshold; UserError if the file cannot be written."""
    with saved_figure(path, 8) as figure:
        axes = figure.add_subplot()
        values = [tally.value for tally in tallies]
        for name, colour in COLOURS.items():
            counts = [getattr(tally, name) for tally in tallies]
            style = {"linestyle": "--"} if name == "flips" else {"marker": "o", "markersize": 3}
            axes.plot(values, counts, color=colour, label=NAMES.get(name, name), **style)
        axes.set_title(title)
        axes.set_xlabel("threshold")
        axes.set_ylabel("decisions")
        axes.set_ylim(bottom=0)
        axes.legend()


def draw_campaigns(path: Path, found: Mapping[str, Sequence[Tally]]) -> None:
    """Plot by policy the mean and range of true held-out wins over passes, and the mean number of faults."""
    width = 0.8 / len(found)
    with saved_figure(path, 11) as figure:
        wins, faults = figure.subplots(1, 2, width_ratios=(3, 2))
        for number, (name, tallies) in enumerate(found.items()):
            colour, label = f"C{number}", name.lstrip("_")
            # A campaign that ended early keeps its last value.
            at = list(_columns([tally.wins for tally in tallies], max(len(t.wins) for t in tallies)))
            low, high = [min(each) for each in at], [max(each) for each in at]
            wins.fill_between(range(len(at)), low, high, color=colour, alpha=0.15)
            wins.plot([sum(each) / len(each) for each in at], color=colour, label=label)
            means = [sum(getattr(tally, fault) for tally in tallies) / len(tallies) for fault in FAULTS]
            places = [place + (number - (len(found) - 1) / 2) * width for place in range(len(FAULTS))]
            faults.bar(places, means, width, color=colour, label=label)
        wins.set_xlabel("passes")
        wins.set_ylabel("held-out tasks won by live")
        wins.legend()
        faults.set_xticks(range(len(FAULTS)), list(FAULTS.values()))
        faults.set_ylabel("per campaign")


def _columns(rows: Sequence[Sequence[int]], length: int) -> Iterator[list[int]]:
    return ([row[min(at, len(row) - 1)] for row in rows] for at in range(length))


FAULTS = {"false_accepts": "false\naccepts", "losses": "confirmed\nwins lost", "missed": "better,\nnot accepted"}
