"""Plots as PNG bytes, without a display: the loss curve, and live wins over versions or passes.

Backgrounds are transparent and colours of middle brightness, so that a picture is readable on light and dark pages.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from autosurgeon.audit.escape import printable
from autosurgeon.audit.pass_report import LiveWins, StopLine

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#7a8088"
COLOURS = ("#3b82d6", "#d97a1e", "#8a63d2", "#1f9d72", "#c94f7c", "#7d8b2f")
STOP = "#d64545"
MARKS = {"baseline": "o", "promote": "^", "revert": "v"}
LONGEST_LABEL = 40


def plot_loss(
    steps: Sequence[tuple[int, float]], epochs: Sequence[tuple[float, float]], stops: Sequence[StopLine]
) -> bytes:
    """Plot the loss of each step, the mean of each epoch at its end, and the policy's bounds."""
    with _axes("step", "loss, nats per token") as (axes, picture):
        if steps:
            axes.plot(*zip(*steps, strict=True), color=COLOURS[0], linewidth=1.2, label="each step")
        if epochs:
            axes.plot(*zip(*epochs, strict=True), "o", color=COLOURS[1], label="mean of the epoch")
        for stop in stops:
            axes.axhline(stop.loss, color=STOP, linewidth=1.2, linestyle="--", label=_label(f"stop: {stop.rule_id}"))
    return picture.getvalue()


def plot_wins(trend: Sequence[tuple[int, LiveWins]], x: str, until: int = 0) -> bytes:
    """Plot the wins of each live version per bench and in total; markers show how the version went live.

    Args:
        trend: start of each version on the axis, and the version.
        x: label of the axis.
        until: end of the axis, if the last version lasts beyond its start.

    """
    with _axes(x, "tasks won") as (axes, picture):
        benches = sorted({bench for _, live in trend for bench in live.wins})
        for number, bench in enumerate(benches):
            known = [(at, live.wins[bench]) for at, live in trend if bench in live.wins]
            colour = COLOURS[number % len(COLOURS)]
            axes.step(*_lasting(known, until), where="post", color=colour, linewidth=1.2, label=_label(bench))
        every = [(at, live.total) for at, live in trend]
        axes.step(*_lasting(every, until), where="post", color=INK, linewidth=2, label="all")
        for how, mark in MARKS.items():
            made = [(at, live.total) for at, live in trend if live.how == how]
            if made:
                colour = STOP if how == "revert" else INK
                axes.plot(*zip(*made, strict=True), mark, color=colour, markersize=8, label=how)
        axes.locator_params(integer=True)
        axes.set_ylim(bottom=0)
    return picture.getvalue()


def _lasting(points: list[tuple[int, int]], until: int) -> tuple[list[int], list[int]]:
    """Return x and y values, with the last point extended to the end."""
    if points and points[-1][0] < until:
        points = [*points, (until, points[-1][1])]
    return [at for at, _ in points], [wins for _, wins in points]


def _label(text: str) -> str:
    """Make an untrusted name fit a legend; matplotlib omits entries that begin with an underscore."""
    text = printable(text).lstrip("_")
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 3] + "..."


@contextmanager
def _axes(x: str, y: str) -> Iterator[tuple[Axes, io.BytesIO]]:
    """Yield empty axes; the picture is drawn when the block ends."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = io.BytesIO()
    # Names are not parsed as mathematics, and a letter that the font lacks gives no warning.
    with rc_context({"text.parse_math": False, "font.size": 9}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_xlabel(x, color=INK)
        axes.set_ylabel(y, color=INK)
        axes.tick_params(colors=INK)
        axes.grid(alpha=0.25, color=INK)
        for side, spine in axes.spines.items():
            spine.set_color(INK)
            spine.set_visible(side in ("left", "bottom"))
        yield axes, picture
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5))
        # Without the version in the file, the same evidence gives the same bytes.
        figure.savefig(picture, format="png", dpi=110, transparent=True, metadata={"Software": None})
