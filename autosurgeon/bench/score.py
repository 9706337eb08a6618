"""The score of a grading run: per bench, of all its tasks, whether they have samples or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from autosurgeon.bench.results import ResultRow
from autosurgeon.core.task import Task
from autosurgeon.core.value import Value
from autosurgeon.stats.rates import pass_at_k

KS = (1, 10, 100)


class BenchScore(Value):
    """One bench. The denominator is the bench's tasks, less those in quarantine, and nothing else changes it."""

    bench: str
    tasks: int
    quarantined: int
    samples: int
    passed: int
    """Samples that passed."""
    pass_at: Mapping[int, float]
    """k to the unbiased estimate, for each k that there are samples for; a task without any counts as never passed."""
    base_pass_at_1: float | None
    """The same for k = 1 on the base cases alone, for benches that have extra ones."""
    without_samples: tuple[str, ...]
    infra: tuple[str, ...]
    """Tasks with a sample that could not be graded: no score; they count as not passed until they are graded."""
    tiers: Mapping[str, int]
    """Tier to samples."""
    shared: tuple[str, ...]
    """Tasks that were graded in the weaker tier."""
    jails: Mapping[str, int]
    """Jail level to samples."""
    causes: Mapping[str, int]
    """Why samples failed."""


class Score(Value):
    """Every bench of a run, in the order of their names."""

    benches: tuple[BenchScore, ...]

    @property
    def infra(self) -> int:
        """Tasks that could not be graded in full."""
        return sum(len(bench.infra) for bench in self.benches)


class Tally:
    """Counts rows as they come; memory grows with the tasks."""

    def __init__(self, tasks: Mapping[str, Task], quarantined: Collection[str] = ()) -> None:
        self._tasks = tasks
        self._quarantined = set(quarantined)
        self._samples: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._base_passed: Counter[str] = Counter()
        self._infra: dict[str, None] = {}
        self._shared: dict[str, None] = {}
        self._by: dict[tuple[str, str], Counter[str]] = {}

    def add(self, row: ResultRow) -> None:
        """Count one row."""
        task = self._tasks[row.task_id]
        self._samples[row.task_id] += 1
        self._passed[row.task_id] += row.verdict == "pass"
        self._base_passed[row.task_id] += row.verdict == "pass" or 0 < task.base_cases <= row.food
        if row.verdict == "infra":
            self._infra[row.task_id] = None
        if row.tier == "shared":
            self._shared[row.task_id] = None
        for what, value in (("tier", row.tier), ("jail", row.jail), ("cause", row.cause.value if row.cause else None)):
            if value is not None:
                self._by.setdefault((task.bench, what), Counter())[value] += 1

    def score(self) -> Score:
        """What the rows so far come to."""
        benches = sorted({task.bench for task in self._tasks.values()})
        return Score(benches=tuple(self._bench(bench) for bench in benches))

    def _bench(self, bench: str) -> BenchScore:
        every = [task for task in self._tasks.values() if task.bench == bench]
        tasks = [task for task in every if task.task_id not in self._quarantined]
        ids = [task.task_id for task in tasks]
        fewest = min((n for n in map(self._samples.__getitem__, ids) if n), default=0)
        return BenchScore(
            bench=bench,
            tasks=len(tasks),
            quarantined=len(every) - len(tasks),
            samples=sum(self._samples[i] for i in ids),
            passed=sum(self._passed[i] for i in ids),
            pass_at={k: self._mean(ids, self._passed, k) for k in KS if k <= fewest},
            base_pass_at_1=self._mean(ids, self._base_passed, 1)
            if fewest and any(t.base_cases for t in tasks)
            else None,
            without_samples=tuple(i for i in ids if not self._samples[i]),
            infra=tuple(i for i in ids if i in self._infra),
            shared=tuple(i for i in ids if i in self._shared),
            tiers=dict(sorted(self._by.get((bench, "tier"), Counter()).items())),
            jails=dict(sorted(self._by.get((bench, "jail"), Counter()).items())),
            causes=dict(self._by.get((bench, "cause"), Counter()).most_common()),
        )

    def _mean(self, ids: list[str], passed: Counter[str], k: int) -> float:
        each = (pass_at_k(self._samples[i], passed[i], k) for i in ids if self._samples[i])
        return sum(each) / len(ids)
