"""The anchor ledger: of every task its results over all packs, and whether its win is one to be guarded.

Which wins are anchors decides whether the loop works: guarding every win stalls on one that was luck, and guarding none
is the incident. So a win is provisional until it is confirmed, and only confirmed wins are guarded without mercy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from autosurgeon.core.digest import digest_text
from autosurgeon.core.records import AnchorRun, Live, Quarantine
from autosurgeon.core.task import Split, Task, groups_of
from autosurgeon.core.value import Value
from autosurgeon.sections import AnchorSettings
from autosurgeon.store.sqlstore import SqlStore

State = Literal["anchor", "provisional", "flaky", "quarantined", "failing", "canary", "unknown"]
FEWEST_RUNS = 5
"""Fewer runs than these say nothing of a flake rate."""
LONGEST_ROW = 10
"""Live packs in a row beyond these are not counted: more confirm a win no better."""


class Entry(Value):
    """What is known of one task."""

    task_id: str
    bench: str
    split: str
    family: str
    state: State
    why: str
    """Why it is in that state, in words."""
    wins: int
    """Live packs in a row, the present one last, that won it; counted up to LONGEST_ROW."""
    samples: int = 0
    """Of the present live pack, at the confirmation's temperature."""
    passed: int = 0
    runs: int = 0
    flakes: int = 0
    """Of its last runs as an anchor, those in which the same weights both failed and passed it."""
    trained: bool = False
    """Whether it ever was a row."""
    hidden: bool = False
    """Whether it is kept out of every training for now."""
    history: tuple[tuple[str, bool], ...] = ()
    """(occasion, passed) over all packs that ran it, oldest first."""

    @property
    def flake_rate(self) -> float | None:
        """Flakes over runs; None without runs."""
        return self.flakes / self.runs if self.runs else None


class Known(NamedTuple):
    """What the store knows, read once."""

    line: tuple[str, ...]
    """Packs that were live and were not reverted, oldest first, the present one last; of many the newest."""
    results: Mapping[str, Mapping[str, bool]]
    """What passed, by pack of the line and task."""
    samples: Mapping[str, tuple[int, int]]
    runs: Mapping[str, Sequence[AnchorRun]]
    quarantines: Mapping[str, Quarantine]
    trained: frozenset[str]
    history: Mapping[str, Mapping[str, bool]]
    passes: int


def live_line(history: Iterable[Live]) -> tuple[str, ...]:
    """The packs that led to the one that is live; what was reverted is cut off."""
    line: dict[str, None] = {}
    for live in history:
        if live.pack in line:
            while next(reversed(line)) != live.pack:
                line.popitem()
        else:
            line[live.pack] = None
    return tuple(line)


def read_known(
    store: SqlStore,
    tasks: Iterable[str],
    live: str,
    settings: AnchorSettings,
    *,
    passes: int | None = None,
    history: bool = False,
) -> Known:
    """Everything that the ledger of a live pack is made of.

    Args:
        store: the memory.
        tasks: the tasks that the ledger is of.
        live: the pack that is live, or was when an open pass began.
        settings: how many of a task's last runs count, and of its live packs in a row.
        passes: passes before this moment; all when None.
        history: whether every result of every pack is wanted too, which takes a while to read.

    """
    line = live_line(store.live_history())
    line = line[: line.index(live) + 1] if live in line else (live,)
    line = line[-max(LONGEST_ROW, settings.live_wins) :]
    return Known(
        line=line,
        results=store.passed_by(line),
        samples=store.confirmations(live),
        runs=store.last_anchor_runs(tasks, settings.flake_runs),
        quarantines=store.quarantines(),
        trained=store.ever_rows(),
        history=store.occasions() if history else {},
        passes=sum(store.pass_counts().values()) if passes is None else passes,
    )


def read_ledger(
    tasks: Mapping[str, Task], known: Known, settings: AnchorSettings, *, counted: Collection[str], seed: int, now: str
) -> dict[str, Entry]:
    """The entry of every task of a counted bench. Pure: the same knowledge gives the same ledger."""
    entries = {
        task_id: _entry(task, groups_of(task, tasks)[0], known, settings, now)
        for task_id, task in tasks.items()
        if task.bench in counted
    }
    hidden = hidden_part(entries.values(), settings, seed=seed, passes=known.passes)
    return {
        task_id: entry.model_copy(update={"hidden": True}) if task_id in hidden else entry
        for task_id, entry in entries.items()
    }


def hidden_part(entries: Iterable[Entry], settings: AnchorSettings, *, seed: int, passes: int) -> frozenset[str]:
    """The anchors that no training may see for now: a share of the surgery split's, since nothing else is ever a row.

    They are drawn from those that never were rows, in another order each term; where few are left, those few stay.
    """
    term = passes // settings.rotate_passes
    anchors = [e for e in entries if e.state == "anchor" and e.split == Split.SURGERY]
    pool = sorted(
        (e.task_id for e in anchors if not e.trained), key=lambda task: digest_text(f"hidden:{seed}:{term}:{task}")
    )
    return frozenset(pool[: round(settings.hidden_share * len(anchors))])


def _entry(task: Task, family: str, known: Known, settings: AnchorSettings, now: str) -> Entry:
    wins = _wins_in_a_row(task.task_id, known)
    samples, passed = known.samples.get(task.task_id, (0, 0))
    runs = known.runs.get(task.task_id, ())
    flakes = sum(run.is_flaky for run in runs)
    state, why = _state(task, known, settings, now, wins=wins, samples=(samples, passed), flakes=(flakes, len(runs)))
    return Entry(
        task_id=task.task_id,
        bench=task.bench,
        split=task.split.value,
        family=family,
        state=state,
        why=why,
        wins=wins,
        samples=samples,
        passed=passed,
        runs=len(runs),
        flakes=flakes,
        trained=task.task_id in known.trained,
        history=tuple((when, passed[task.task_id]) for when, passed in known.history.items() if task.task_id in passed),
    )


def _wins_in_a_row(task_id: str, known: Known) -> int:
    count = 0
    for pack in reversed(known.line):
        if not known.results[pack].get(task_id, False):
            break
        count += 1
    return count


def _state(
    task: Task,
    known: Known,
    settings: AnchorSettings,
    now: str,
    *,
    wins: int,
    samples: tuple[int, int],
    flakes: tuple[int, int],
) -> tuple[State, str]:
    """The state of a task's win, and why; the first that applies."""
    aside = known.quarantines.get(task.task_id)
    if task.task_id not in known.results[known.line[-1]]:
        return "unknown", "live never ran it"
    if not wins:
        return "failing", "live fails it"
    if task.split == Split.CANARY:
        return "canary", "read only after a promotion, and never guarded before it"
    if aside is not None and aside.expires_at > now:
        return "quarantined", f"by {aside.by} until {aside.expires_at}: {aside.reason}"
    flaky, runs = flakes
    if runs >= FEWEST_RUNS and flaky / runs >= settings.flake_limit:
        return "flaky", f"the same weights both failed and passed it in {flaky} of its last {runs} runs"
    if wins >= settings.live_wins:
        return "anchor", f"won by {wins} live packs in a row"
    taken, passed = samples
    if taken and taken == passed:
        return "anchor", f"{passed} of {taken} samples passed"
    if taken:
        return "provisional", f"only {passed} of {taken} samples passed"
    return "provisional", "not confirmed yet"


def coverage(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """Per family, how many tasks, wins and anchors there are."""
    counts: dict[str, dict[str, int]] = {}
    for entry in entries:
        cell = counts.setdefault(entry.family, {"tasks": 0, "wins": 0, "anchors": 0, "hidden": 0})
        cell["tasks"] += 1
        cell["wins"] += entry.wins > 0
        cell["anchors"] += entry.state == "anchor"
        cell["hidden"] += entry.hidden
    return dict(sorted(counts.items()))
