"""Plots as PNG bytes, drawn without a display: a loss curve, and live wins over versions or passes.

Backgrounds are transparent and all ink is of a middle tone, so that one picture reads on a light and on a dark page.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from autosurgeon.audit.escape import printable
from autosurgeon.audit.report import LiveWins, StopLine

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#7a8088"
COLOURS = ("#3b82d6", "#d97a1e", "#8a63d2", "#1f9d72", "#c94f7c", "#7d8b2f")
STOP = "#d64545"
MARKS = {"baseline": "o", "promote": "^", "revert": "v"}
LONGEST_LABEL = 40


def plot_loss(steps: Sequence[tuple[int, float]], epochs: Sequence[tuple[float, float]], stops: Sequence[StopLine]) -> bytes:
    """The loss of each step, the mean of each epoch at its end, and the policy's bounds across them."""
    with _axes("step", "loss, nats per token") as (axes, picture):
        if steps:
            axes.plot(*zip(*steps, strict=True), color=COLOURS[0], linewidth=1.2, label="each step")
        if epochs:
            axes.plot(*zip(*epochs, strict=True), "o", color=COLOURS[1], label="mean of the epoch")
        for stop in stops:
            axes.axhline(stop.loss, color=STOP, linewidth=1.2, linestyle="--", label=_label(f"stop: {stop.rule_id}"))
    return picture.getvalue()


def plot_wins(trend: Sequence[LiveWins]) -> bytes:
    """Wins of each live version per bench and in total; the marks say what made the version."""
    with _axes("live version", "tasks won") as (axes, picture):
        versions = [live.version for live in trend]
        benches = sorted({bench for live in trend for bench in live.wins})
        for number, bench in enumerate(benches):
            known = [(live.version, live.wins[bench]) for live in trend if bench in live.wins]
            colour = COLOURS[number % len(COLOURS)]
            axes.step(*zip(*known, strict=True), where="post", color=colour, linewidth=1.2, label=_label(bench))
        axes.step(versions, [live.total for live in trend], where="post", color=INK, linewidth=2, label="all")
        for how, mark in MARKS.items():
            made = [(live.version, live.total) for live in trend if live.how == how]
            if made:
                colour = STOP if how == "revert" else INK
                axes.plot(*zip(*made, strict=True), mark, color=colour, markersize=8, label=how)
        axes.set_xticks(versions if len(versions) <= 20 else versions[:: len(versions) // 10])
        axes.set_ylim(bottom=0)
    return picture.getvalue()


def _label(text: str) -> str:
    """A stranger's name in a legend, whose entries are left out where they begin with an underscore."""
    text = printable(text).lstrip("_")
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 3] + "..."


@contextmanager
def _axes(x: str, y: str) -> Iterator[tuple[Axes, io.BytesIO]]:
    """Empty axes, whose picture is drawn when the block ends."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = io.BytesIO()
    # No mathematics in names, and no warning for a letter that the font lacks.
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
        # No version in the file: the same evidence draws the same bytes.
        figure.savefig(picture, format="png", dpi=110, transparent=True, metadata={"Software": None})
