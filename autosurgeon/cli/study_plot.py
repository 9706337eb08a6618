"""The plot of `autosurgeon study`: importances, history and tried values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from autosurgeon.cli.plot import saved_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from autosurgeon.proposer.review import Review

KINDS = {"promoted": "tab:green", "not refused": "tab:blue", "refused": "tab:red", "no verdict": "tab:gray"}


def draw_review(path: Path, found: Review) -> None:
    """Draw three plots side by side as PNG; UserError if the file cannot be written."""
    with saved_figure(path, 14, font_size=9) as figure:
        left, middle, right = figure.subplots(1, 3)
        _draw_importances(left, found)
        _draw_history(middle, found)
        _draw_region(right, found)


def _draw_importances(axes: Axes, found: Review) -> None:
    axes.set_title("importance, of 1")
    names = [one.name for one in found.region]
    for shift, (label, shares, colour) in enumerate(
        (("for climbing on dev", found.climbing, "tab:green"), ("for not being refused", found.not_refused, "tab:red"))
    ):
        if shares is not None:
            places = [place + 0.4 * shift for place in range(len(names))]
            axes.barh(places, [shares.get(name, 0) for name in names], height=0.4, color=colour, label=label)
    axes.set_yticks([place + 0.2 for place in range(len(names))], names)
    axes.invert_yaxis()
    if found.climbing is None and found.not_refused is None:
        axes.text(0.5, 0.5, "too few passes", ha="center", transform=axes.transAxes)
    else:
        axes.legend()


def _kinds(found: Review) -> list[str]:
    """Classify the outcome of each pass in the history."""
    kinds = []
    for tried in found.history:
        kind = "refused" if tried.refused else "not refused"
        if tried.state == "CONFIRMED":
            kind = "promoted"
        elif tried.state in ("FAILED", "SUPERSEDED") or not tried.state.is_finished:
            kind = "no verdict"
        kinds.append(kind)
    return kinds


def _draw_history(axes: Axes, found: Review) -> None:
    axes.set_title("history")
    axes.set_xlabel("pass")
    axes.set_ylabel("climb on dev, tasks; -1: not benched")
    kinds = _kinds(found)
    for kind, colour in KINDS.items():
        points = [
            (tried.number, -1 if tried.climb is None else tried.climb)
            for tried, known in zip(found.history, kinds, strict=True)
            if known == kind
        ]
        if points:
            axes.plot(*zip(*points, strict=True), "o", color=colour, label=kind, markersize=4)
    if found.history:
        axes.legend()


def _draw_region(axes: Axes, found: Review) -> None:
    """Plot a row per parameter and a mark per pass between the lowest and highest tried value."""
    axes.set_title("tried values, lowest to highest")
    kinds = _kinds(found)
    names = [one.name for one in found.region]
    for row, name in enumerate(names):
        places = _places([tried.params[name] for tried in found.history])
        for index, (kind, colour) in enumerate(KINDS.items()):
            xs = [place for place, known in zip(places, kinds, strict=True) if known == kind]
            axes.plot(xs, [row + 0.18 * (index - 1.5)] * len(xs), "|", color=colour, markersize=7)
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks([])
    axes.set_xlim(-0.05, 1.05)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _places(values: list[float | str]) -> list[float]:
    """Scale values to 0 to 1, numbers by their logarithms."""
    order = sorted({value for value in values if isinstance(value, str)})
    # An anchor share of 0 has no logarithm.
    numbers = [order.index(v) if isinstance(v, str) else math.log2(max(v, 1e-9)) for v in values]
    low, high = min(numbers, default=0), max(numbers, default=0)
    return [0.5 if low == high else (number - low) / (high - low) for number in numbers]
