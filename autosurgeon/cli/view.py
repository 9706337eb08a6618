"""The view of a run: a live view on a terminal, plain lines in a pipe, with the same content."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from autosurgeon.cli.render import coloured
from autosurgeon.cli.streams import OnLost, unread_output
from autosurgeon.core.decision import Decision
from autosurgeon.core.ports import Reporter
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord

PLAIN_EVERY_S = 15.0


def recipe_line(recipe: Recipe) -> str:
    """Format a recipe as a line."""
    return (
        f"{recipe.mix.value} x{recipe.poison_share:.2f} + anchors x{recipe.anchor_share:.2f} on {recipe.parent}, "
        f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}, lr {recipe.lr:.2g}, rank {recipe.rank}, "
        f"alpha x{recipe.alpha_ratio:.1f}"
    )


def decision_lines(decision: Decision) -> list[tuple[str, str]]:
    """Return lines as (word, rest): the verdict with its reason, and the lesson of each rule that refused."""
    judgement = decision.judgement
    if judgement is None:
        moved = f"live version {decision.live_version}: " if decision.live_version else ""
        return [(decision.action, f"{moved}{decision.reason}")]
    moved = f" -> live version {decision.live_version}" if decision.live_version else ""
    lines = [(judgement.verdict.value, f"{judgement.phase}: {decision.reason}{moved}")]
    if judgement.verdict != "ACCEPT":
        lines += [
            ("", f"lesson: {rule.lesson}") for rule in judgement.broken(mode="enforce") if rule.otherwise != "stop"
        ]
    return lines


def stage_title(scope: str, name: str) -> str:
    """Return a stage's title: `train` within a pass, `bench of pack 5754833767d7` outside one."""
    return f"{name.split('-')[0]} of {scope.replace('-', ' ')}" if scope.startswith("pack-") else name


class PlainReporter:
    """Prints a line per event; progress at most every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._last = time.monotonic()

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line about the run."""
        self._line(text)

    def pass_started(self, number: int, recipe: Recipe) -> None:
        """Print the pass and its recipe."""
        self._line(f"pass {number}: {recipe_line(recipe)}")

    def stage_started(self, scope: str, name: str) -> None:
        """Remember the stage; its line is printed at its end."""
        self._stage, self._last = stage_title(scope, name), time.monotonic()

    def progress(self, done: int, total: int, note: str) -> None:
        """Print the stage's progress from time to time."""
        now = time.monotonic()
        if now - self._last >= PLAIN_EVERY_S:
            self._last = now
            self._line(f"  {self._stage}: {done} of {total} {note}")

    def stage_ended(self, seconds: float) -> None:
        """Print the stage and its duration."""
        self._line(f"  {self._stage}: {seconds:.1f} s")

    def decided(self, decision: Decision) -> None:
        """Print the verdict, its reason and the lessons of refusals."""
        for word, rest in decision_lines(decision):
            self._line(f"  {word + ' ' if word else '    '}{rest}")

    def pass_ended(self, record: PassRecord) -> None:
        """Print the end of the pass."""
        self._line(f"pass {record.number}: {record.state.value}" + (f": {record.reason}" if record.reason else ""))


class RateColumn(ProgressColumn):
    """Steps per second of the running stage."""

    def render(self, task: Task) -> Text:
        """Return the rate, blank until it is known."""
        return Text(f"{task.speed:,.1f}/s" if task.speed else "", style="cyan")


class LiveReporter:
    """Shows a progress bar for the running stage, with rate and time left, below the verdicts so far."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bar = progress.add_task("starting", total=None, tally="")
        self._verdicts: dict[str, int] = {}
        self._number: int | None = None
        self._stage = ""

    def _line(self, text: str) -> None:
        self._progress.console.print(text, highlight=False)

    def say(self, text: str) -> None:
        """Print a line about the run."""
        self._line(text.replace("[", r"\["))

    def pass_started(self, number: int, recipe: Recipe) -> None:
        """Print the pass and its recipe."""
        self._number = number
        self._line(f"[bold]pass {number}[/bold] {recipe_line(recipe)}")

    def stage_started(self, scope: str, name: str) -> None:
        """Restart the bar."""
        self._stage = (
            f"pass {self._number} {name}" if self._number and scope.startswith("pass-") else name.split("-")[0]
        )
        self._progress.reset(self._bar, total=None, description=self._stage)

    def progress(self, done: int, total: int, note: str) -> None:
        """Move the bar."""
        tally = ", ".join(f"{count} {word}" for word, count in sorted(self._verdicts.items()))
        self._progress.update(self._bar, completed=done, total=total, description=f"{self._stage} {note}", tally=tally)

    def stage_ended(self, seconds: float) -> None:
        """Fill the bar."""
        task = self._progress.tasks[0]
        self._progress.update(self._bar, completed=task.total or 0)

    def decided(self, decision: Decision) -> None:
        """Print the verdict, its reason and the lessons of refusals; a mere `continue` appears only in the log."""
        if decision.action == "continue" and decision.judgement and decision.judgement.phase != "watch":
            return
        for word, rest in decision_lines(decision):
            self._line(f"  {coloured(word)} {rest.replace('[', chr(92) + '[')}")

    def pass_ended(self, record: PassRecord) -> None:
        """Count the pass by its state."""
        self._verdicts[record.state.value] = self._verdicts.get(record.state.value, 0) + 1
        if record.state in ("FAILED", "SUPERSEDED"):
            self._line(f"  {coloured(record.state.value)} {record.reason}")


@contextlib.contextmanager
def reporting(on_lost: OnLost = lambda _: None, root: Path | None = None) -> Iterator[Reporter]:
    """Yield the reporter that fits standard output; the block continues if that cannot be written.

    Args:
        on_lost: called once with the cause if standard output cannot be written.
        root: see `unread_output`.

    """
    with unread_output(on_lost, root):
        console = Console()
        with contextlib.nullcontext(PlainReporter(console)) if not console.is_terminal else _live(console) as reporter:
            yield reporter


@contextlib.contextmanager
def _live(console: Console) -> Iterator[Reporter]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[tally]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield LiveReporter(progress)


class CountProgress(Protocol):
    """Shows how many items of a total are done; `word` replaces the default name of the items."""

    def __call__(self, done: int, total: int, word: str = ...) -> None:
        """Show the count."""
        ...


@contextlib.contextmanager
def counting(word: str) -> Iterator[CountProgress]:
    """Show the progress of a count: a bar on a terminal, otherwise a line on standard error from time to time."""
    console = Console(stderr=True)
    if not console.is_terminal:
        last = time.monotonic()

        def show_line(done: int, total: int, word: str = word) -> None:
            nonlocal last
            if time.monotonic() - last >= PLAIN_EVERY_S:
                last = time.monotonic()
                console.print(f"{done} of {total} {word}", markup=False, highlight=False)

        yield show_line
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as progress:
        bar = progress.add_task(word, total=None)

        def show(done: int, total: int, word: str = word) -> None:
            progress.update(bar, description=word, completed=done, total=total)

        yield show
