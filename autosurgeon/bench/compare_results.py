"""Compare two result files: the tasks that flipped, and how likely chance alone explains them.

A task passes by its first sample, which is the only answer of a greedy run and pairs runs with different numbers of
samples. The other samples are reported separately, as pass@k. A task with an infra row in either file is left out of
every rate and of the paired test, and is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import fsum
from typing import NamedTuple, Self

from autosurgeon.bench.results import ResultRow
from autosurgeon.core.envelope import Poison
from autosurgeon.core.value import Value
from autosurgeon.errors import UserError
from autosurgeon.stats.paired import Flips, flips, p_difference, p_regression
from autosurgeon.stats.rates import pass_at_k, wilson

NO_BENCH = "-"
"""The bench of task ids without a slash, such as LiveCodeBench's."""
DRAWS = (1, 5, 10, 100)
"""The k of pass@k that the field publishes."""


class FileCount(Value):
    """What stands in one file, compared or not."""

    name: str
    rows: int
    tasks: int
    infra_rows: int
    tiers: dict[str, int]
    """Graded rows per tier; infra rows have none."""
    jails: dict[str, int]
    """Graded rows per jail level."""


class Share(Value):
    """First samples that passed, with the 95 % Wilson interval; no rate of no tasks."""

    passes: int
    rate: float | None
    low: float
    high: float

    @classmethod
    def of(cls, passes: int, tasks: int) -> Self:
        """The share of so many passes among so many tasks."""
        low, high = wilson(passes, tasks)
        return cls(passes=passes, rate=passes / tasks if tasks else None, low=low, high=high)


class Draws(Value):
    """pass@k of both files; None where a compared task has fewer than k samples."""

    k: int
    a: float | None
    b: float | None


class BenchComparison(Value):
    """The compared tasks of one bench, or of all."""

    bench: str
    tasks: int
    a: Share
    b: Share
    lost: int
    gained: int
    p_loss: float
    """Exact one-sided McNemar: so many losses among the flips, or more, by chance."""
    p_difference: float
    """Exact two-sided McNemar."""
    draws: tuple[Draws, ...]
    """Empty where no compared task has several samples."""


class Flip(Value):
    """A task whose result differs, and why the file that fails it does."""

    task_id: str
    cause: Poison | None


class InfraTask(Value):
    """A task that could not be graded, with the number of its infra rows in each file."""

    task_id: str
    a: int
    b: int


class Comparison(Value):
    """The comparison of two result files; A is before and B is after."""

    a: FileCount
    b: FileCount
    benches: tuple[BenchComparison, ...]
    """Every bench that has a task in both files, in order of name."""
    total: BenchComparison
    lost: tuple[Flip, ...]
    gained: tuple[Flip, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    infra: tuple[InfraTask, ...]
    other_tier: int
    """Compared tasks whose first samples were graded in different tiers."""
    other_jail: int
    """Compared tasks whose first samples were graded in jails of different levels."""


class _Outcome:
    """What is kept of one task's rows."""

    __slots__ = ("cause", "infra", "jail", "passes", "rows", "tier", "won")

    def __init__(self, first: ResultRow) -> None:
        self.won = first.verdict == "pass"
        self.cause = first.cause
        self.tier = first.tier
        self.jail = first.jail
        self.rows = self.passes = self.infra = 0


class _File:
    """What is kept of one file: a little a task, nothing a further sample."""

    def __init__(self, name: str, rows: Iterable[ResultRow]) -> None:
        self.outcomes: dict[str, _Outcome] = {}
        tiers: Counter[str] = Counter()
        jails: Counter[str] = Counter()
        for row in rows:
            outcome = self.outcomes.get(row.task_id)
            if outcome is None:
                outcome = self.outcomes[row.task_id] = _Outcome(row)
            outcome.rows += 1
            if row.verdict == "infra":
                outcome.infra += 1
                continue
            outcome.passes += row.verdict == "pass"
            tiers[row.tier] += 1
            jails[row.jail] += 1
        if not self.outcomes:
            raise UserError("a result file is empty", where=name)
        self.count = FileCount(
            name=name,
            rows=sum(outcome.rows for outcome in self.outcomes.values()),
            tasks=len(self.outcomes),
            infra_rows=sum(outcome.infra for outcome in self.outcomes.values()),
            tiers=dict(sorted(tiers.items())),
            jails=dict(sorted(jails.items())),
        )


class _Pair(NamedTuple):
    """One task in both files."""

    a: _Outcome
    b: _Outcome


def compare_results(a: Iterable[ResultRow], b: Iterable[ResultRow], names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Hold B against A, whose rows come as `read_results` gives them: each task's first sample first, none twice.

    UserError when one has no rows, or the two have no task in common.
    """
    left, right = _File(names[0], a), _File(names[1], b)
    both = sorted(left.outcomes.keys() & right.outcomes.keys())
    if not both:
        got = " and ".join(ascii(next(iter(file.outcomes)))[:60] for file in (left, right))
        raise UserError("two result files have no task in common", got=got, where=" and ".join(names))
    benches: dict[str, dict[str, _Pair]] = {bench: {} for bench in sorted(map(bench_of, both))}
    scored: dict[str, _Pair] = {}
    for task_id in both:
        pair = _Pair(left.outcomes[task_id], right.outcomes[task_id])
        if not pair.a.infra and not pair.b.infra:
            scored[task_id] = benches[bench_of(task_id)][task_id] = pair
    found = _flips(scored)
    return Comparison(
        a=left.count,
        b=right.count,
        benches=tuple(_compared(bench, pairs) for bench, pairs in benches.items()),
        total=_compared("all", scored),
        lost=tuple(Flip(task_id=task_id, cause=scored[task_id].b.cause) for task_id in found.lost),
        gained=tuple(Flip(task_id=task_id, cause=scored[task_id].a.cause) for task_id in found.gained),
        only_a=tuple(sorted(left.outcomes.keys() - right.outcomes.keys())),
        only_b=tuple(sorted(right.outcomes.keys() - left.outcomes.keys())),
        infra=_infra(left.outcomes, right.outcomes),
        other_tier=sum(pair.a.tier != pair.b.tier for pair in scored.values()),
        other_jail=sum(pair.a.jail != pair.b.jail for pair in scored.values()),
    )


def bench_of(task_id: str) -> str:
    """What stands before the slash; one name for all ids without."""
    bench, slash, _ = task_id.partition("/")
    return bench if slash else NO_BENCH


def _compared(bench: str, pairs: Mapping[str, _Pair]) -> BenchComparison:
    found = _flips(pairs)
    lost, gained = len(found.lost), len(found.gained)
    return BenchComparison(
        bench=bench,
        tasks=len(pairs),
        a=Share.of(sum(pair.a.won for pair in pairs.values()), len(pairs)),
        b=Share.of(sum(pair.b.won for pair in pairs.values()), len(pairs)),
        lost=lost,
        gained=gained,
        p_loss=p_regression(lost, gained),
        p_difference=p_difference(lost, gained),
        draws=_draws([pair.a for pair in pairs.values()], [pair.b for pair in pairs.values()]),
    )


def _flips(pairs: Mapping[str, _Pair]) -> Flips:
    before = {task_id: pair.a.won for task_id, pair in pairs.items()}
    return flips(before, {task_id: pair.b.won for task_id, pair in pairs.items()})


def _draws(a: list[_Outcome], b: list[_Outcome]) -> tuple[Draws, ...]:
    if all(outcome.rows == 1 for outcome in a + b):
        return ()
    found = (Draws(k=k, a=_mean_pass_at(k, a), b=_mean_pass_at(k, b)) for k in DRAWS)
    return tuple(draws for draws in found if (draws.a, draws.b) != (None, None))


def _mean_pass_at(k: int, outcomes: list[_Outcome]) -> float | None:
    if any(outcome.rows < k for outcome in outcomes):
        return None
    # Many tasks share few pairs of counts.
    counts = Counter((outcome.rows, outcome.passes) for outcome in outcomes)
    return fsum(tasks * pass_at_k(n, c, k) for (n, c), tasks in counts.items()) / len(outcomes)


def _infra(a: Mapping[str, _Outcome], b: Mapping[str, _Outcome]) -> tuple[InfraTask, ...]:
    found = []
    for task_id in sorted(a.keys() | b.keys()):
        in_a, in_b = (file[task_id].infra if task_id in file else 0 for file in (a, b))
        if in_a or in_b:
            found.append(InfraTask(task_id=task_id, a=in_a, b=in_b))
    return tuple(found)
