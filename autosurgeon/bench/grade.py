"""Grading: programs in, grades out, in order, as many at once as there are workers."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, NamedTuple, Self

from autosurgeon.bench.cell import Cell, CellError, Limits, Testimony, Way
from autosurgeon.bench.jail import Level, choose
from autosurgeon.config import GradingSettings
from autosurgeon.core.digest import digest_text
from autosurgeon.core.envelope import Poison
from autosurgeon.core.task import Task

WINDOW = 512
"""Programs under way or waiting for their turn to be told, so that memory does not grow with the number of samples."""
REMEMBERED = 4096
SLOWER_THAN_REFERENCE = 10
"""A program may use so many times the reference's CPU time, where that is more than the setting."""
Tier = Literal["split", "shared"]


class Submission(NamedTuple):
    """A program for a task: a completion, which stands after the task's prelude, or a whole program."""

    task: Task
    text: str
    whole: bool = False


class Grade(NamedTuple):
    """What a program is worth; `infra` is no score at all: the machine or the task failed, not the program."""

    verdict: Literal["pass", "fail", "infra"]
    cause: Poison | None
    detail: str
    food: int
    tier: Tier
    jail: Level
    cpu_s: float


class _Nature(NamedTuple):
    """How a task's reference fares: the first way in which it passes, if any, and what came of it."""

    way: Way | None
    testimony: Testimony


class Grader:
    """Grades programs in jails that it keeps; a context manager, and usable without: jails end with `close`."""

    def __init__(self, settings: GradingSettings) -> None:
        self.workers = settings.workers or os.cpu_count() or 1
        self.level = choose(settings.jail)
        self._limits = Limits(settings.cpu_s, settings.wall_s, settings.memory_mib << 20)
        self._pool: ThreadPoolExecutor | None = None
        self._own = threading.local()
        self._cells: list[Cell] = []
        self._remembered: OrderedDict[str, Future[Grade]] = OrderedDict()
        self._natures: dict[str, _Nature] = {}
        self._keys: dict[int, tuple[Task, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every jail; a later call starts new ones."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        for cell in self._cells:
            cell.close()
        self._cells.clear()
        self._own = threading.local()

    def stream(self, submissions: Iterable[Submission | tuple[Task, str]], *, afresh: bool = False) -> Iterator[Grade]:
        """Grades in the order of the submissions, each as soon as those before it are there.

        Equal programs of one task are run once, unless `afresh`. Memory is bounded whatever their number.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="grader")
        waiting: deque[Future[Grade]] = deque()
        try:
            for submission in submissions:
                waiting.append(self._submit(self._pool, Submission(*submission), afresh))
                if len(waiting) >= WINDOW:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _submit(self, pool: ThreadPoolExecutor, submission: Submission, afresh: bool) -> Future[Grade]:
        if afresh:
            return pool.submit(self._grade, submission)
        key = self._key(submission.task) + digest_text(f"{submission.whole}{submission.text}")
        future = self._remembered.get(key)
        if future is None or future.cancelled():
            future = self._remembered[key] = pool.submit(self._grade, submission)
        self._remembered.move_to_end(key)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return future

    def reference(self, task: Task) -> Grade:
        """The grade of the task's own reference, run now."""
        return self._asked(Submission(task, task.reference or ""))

    def _asked(self, submission: Submission) -> Grade:
        return next(iter(self.stream([submission], afresh=True)))

    def _grade(self, submission: Submission) -> Grade:
        task, text, whole = submission
        source = text if whole else task.prelude + text
        said = self._examined(task, source, "split", self._limits)
        way: Way = "split"
        nature = None
        if said.cause is not None and task.reference is not None and (task.tests or said.cause == Poison.TIMEOUT):
            nature = self._nature(task)
        if nature is not None and nature.way not in (None, "split") and said.cause != Poison.TIMEOUT:
            way = nature.way or "split"
            said = self._examined(task, source, way, self._limits)
        if nature is not None and nature.way is not None and source == task.prelude + (task.reference or ""):
            said, way = nature.testimony, nature.way
        if nature is not None and nature.way is not None and said.cause == Poison.TIMEOUT:
            patience = SLOWER_THAN_REFERENCE * nature.testimony.cpu_s
            if patience > self._limits.cpu_s:
                wall_s = self._limits.wall_s * patience / self._limits.cpu_s
                said = self._examined(task, source, way, self._limits._replace(cpu_s=patience, wall_s=wall_s))
        if way == "shared" and said.cause is None and nature is not None and said.checks != nature.testimony.checks:
            said = said._replace(cause="wrong", detail=f"{said.checks} checks, not {nature.testimony.checks}")
        return self._graded(said, way)

    def _graded(self, said: Testimony, way: Way) -> Grade:
        tier: Tier = "shared" if way == "shared" else "split"
        if said.flaw or said.cause == "infra":
            return Grade("infra", None, said.detail, 0, tier, self.level, 0.0)
        cause = Poison(said.cause) if said.cause is not None else None
        verdict: Literal["pass", "fail"] = "pass" if cause is None else "fail"
        return Grade(verdict, cause, said.detail, said.held, tier, self.level, said.cpu_s)

    def _nature(self, task: Task) -> _Nature:
        """How the reference fares, found out once; two workers may find it out at the same time, with one result."""
        key = self._key(task)
        if key not in self._natures:
            self._natures[key] = self._found(task)
        return self._natures[key]

    def _found(self, task: Task) -> _Nature:
        source = task.prelude + (task.reference or "")
        patient = self._limits._replace(
            cpu_s=self._limits.cpu_s * SLOWER_THAN_REFERENCE, wall_s=self._limits.wall_s * SLOWER_THAN_REFERENCE
        )
        ways: tuple[Way, ...] = ("split", "in_place", "shared") if task.tests and not task.cases else ("split",)
        for way in ways:
            try:
                said = self._tried(task, source, way, patient)
            except CellError as error:
                return _Nature(None, Testimony("infra", str(error), 0, 0, 0.0))
            if said.cause is None:
                return _Nature(way, said)
            if said.cause == Poison.MISSING:
                break  # tests that never call it would hold in the weaker tier, for anybody
        return _Nature(None, said)

    def _examined(self, task: Task, source: str, way: Way, limits: Limits) -> Testimony:
        """One run; where the cell is lost over it, what that means is asked of the reference."""
        try:
            return self._tried(task, source, way, limits)
        except CellError as lost:
            late = lost.late
        if not late:
            with contextlib.suppress(CellError):
                return self._tried(task, source, way, limits)
        cause, detail = ("timeout", "the tests do not end on it") if late else ("died", "the jail ended twice over it")
        if task.reference is None:
            return Testimony("infra", f"{detail}, and there is no reference to ask", 0, 0, 0.0)
        try:
            self._tried(task, task.prelude + task.reference, way, limits)
        except CellError:
            return Testimony("infra", f"{detail}, and over the reference too", 0, 0, 0.0)
        return Testimony(cause, detail, 0, 0, 0.0)

    def _tried(self, task: Task, source: str, way: Way, limits: Limits) -> Testimony:
        """One run in this thread's cell; a lost cell is closed, and the next call has a new one."""
        cell: Cell | None = getattr(self._own, "cell", None)
        if cell is None:
            cell = self._own.cell = Cell(self.level)
            self._cells.append(cell)
        try:
            return cell.examine(self._key(task), task, source, way, limits)
        except CellError:
            self._own.cell = None
            self._cells.remove(cell)
            cell.close()
            raise

    def _key(self, task: Task) -> str:
        """A task's digest, computed once per object."""
        kept = self._keys.get(id(task))
        if kept is None:
            kept = self._keys[id(task)] = (task, digest_text(task.model_dump_json()))
        return kept[1]
