"""What the campaign benchmark found, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev

from campaignarms import Arm
from campaignrun import Campaign, Point
from scipy.stats import t

COLOURS = ("#c94f4f", "#d97a1e", "#8a63d2", "#7a8088", "#1f9d72", "#3b82d6", "#7d8b2f", "#c94f7c", "#444444", "#00a0a0")
HEADS = ("", "gate wins", "all wins", "lost at end", "lost ever", "promoted", "false", "tokens to first no", "seconds")


def interval(values: Sequence[float]) -> str:
    """The mean, and half the width of its 95 % interval by Student's t."""
    if len(values) < 2:
        return f"{fmean(values):.1f}" if values else "-"
    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{fmean(values):.1f} ± {half:.1f}"


def print_report(arms: Sequence[Arm], found: Sequence[Campaign], tokens: int) -> None:
    """Print a row an arm, and the product against each of the others, paired by seed."""
    seeds = len({campaign.seed for campaign in found})
    print(f"{seeds} seeds, {tokens:,} tokens each; means with 95 % intervals; wins and losses of the live pack\n")
    rows = [HEADS, *(_row(arm, [c for c in found if c.arm == arm.name], tokens) for arm in arms)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    base = found[0]
    print(f"\nbase: {base.gate} gate wins, {base.wins} in all")
    _print_pairs(arms, found, tokens)


def _row(arm: Arm, campaigns: Sequence[Campaign], tokens: int) -> tuple[str, ...]:
    return (
        arm.name,
        interval([_gate(c, tokens) for c in campaigns]),
        interval([_wins(c, tokens) for c in campaigns]),
        interval([_lost(c, tokens) for c in campaigns]),
        interval([float(c.ever_lost) for c in campaigns]),
        interval([float(sum(p.state == "CONFIRMED" for p in within(c, tokens))) for c in campaigns]),
        interval([float(sum(p.false for p in within(c, tokens))) for c in campaigns]),
        interval([spent for c in campaigns if (spent := _first_no(c)) is not None]),
        interval([within(c, tokens)[-1].seconds if within(c, tokens) else 0.0 for c in campaigns]),
    )


def within(campaign: Campaign, tokens: int) -> list[Point]:
    """The passes that ended within a budget."""
    return [point for point in campaign.points if point.tokens <= tokens]


def _gate(campaign: Campaign, tokens: int) -> float:
    point = campaign.at(tokens)
    return campaign.gate if point is None else point.gate


def _wins(campaign: Campaign, tokens: int) -> float:
    point = campaign.at(tokens)
    return campaign.wins if point is None else point.wins


def _lost(campaign: Campaign, tokens: int) -> float:
    point = campaign.at(tokens)
    return 0 if point is None else point.lost


def _first_no(campaign: Campaign) -> float | None:
    """Tokens of the first pass that was refused."""
    before = 0
    for point in campaign.points:
        if point.state == "REJECTED":
            return point.tokens - before
        before = point.tokens
    return None


def _print_pairs(arms: Sequence[Arm], found: Sequence[Campaign], tokens: int) -> None:
    """The last arm's gate wins less those of each of the others on the same seed."""
    last = {c.seed: c for c in found if c.arm == arms[-1].name}
    for arm in arms[:-1]:
        pairs = [(last[c.seed], c) for c in found if c.arm == arm.name and c.seed in last]
        gates = [_gate(ours, tokens) - _gate(theirs, tokens) for ours, theirs in pairs]
        wins = [_wins(ours, tokens) - _wins(theirs, tokens) for ours, theirs in pairs]
        better, worse = sum(gap > 0 for gap in gates), sum(gap < 0 for gap in gates)
        print(
            f"{arms[-1].name} less {arm.name}, by seed: gate {interval(gates)} "
            f"({better} seeds above, {worse} below), all {interval(wins)}"
        )


def plot(path: Path, arms: Sequence[Arm], found: Sequence[Campaign], tokens: int) -> None:
    """Mean gate wins and mean losses over tokens, a line an arm; thin lines are single campaigns."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    wins, losses = figure.subplots(1, 2)
    marks = [tokens * step // 60 for step in range(61)]
    panels: tuple[tuple[object, Callable[[Campaign, int], float], str], ...] = (
        (wins, _gate, "gate wins, never trained on"),
        (losses, _lost, "confirmed wins that live lacks"),
    )
    for axes, value, label in panels:
        for arm, colour in zip(arms, COLOURS, strict=False):
            campaigns = [c for c in found if c.arm == arm.name]
            for campaign in campaigns:
                axes.plot(marks, [value(campaign, at) for at in marks], color=colour, linewidth=0.4, alpha=0.5)  # type: ignore[attr-defined]
            means = [fmean(value(campaign, at) for campaign in campaigns) for at in marks]
            axes.plot(marks, means, color=colour, linewidth=2.2, label=arm.name)  # type: ignore[attr-defined]
        axes.set_xlabel("tokens, trained and generated")  # type: ignore[attr-defined]
        axes.set_ylabel(label)  # type: ignore[attr-defined]
    wins.legend()
    figure.savefig(path, format="png", dpi=110)
