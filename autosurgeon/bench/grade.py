"""Grade programs in order, as many at once as there are workers."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Literal, NamedTuple, Self

from autosurgeon.bench.jail import Level, choose
from autosurgeon.bench.packages import find_packages, missing_import
from autosurgeon.bench.runnable import runnable
from autosurgeon.bench.test_usage import uses
from autosurgeon.bench.worker import Cell, CellError, Limits, Testimony, Way, patience
from autosurgeon.core.digest import digest_text
from autosurgeon.core.envelope import Poison
from autosurgeon.core.ports import Beat, no_beat
from autosurgeon.core.task import Task
from autosurgeon.sections import BenchSettings, GradingSettings

WINDOW = 512
"""Most programs that run or wait to be reported; it bounds memory whatever the number of samples."""
REMEMBERED = 4096
"""Grades, and digests of tasks, that a grader keeps."""
LOOK_S = 1.0
"""Seconds between two calls of the beat while a grade is awaited."""
SLOWER_THAN_REFERENCE = 10
"""A program may use this many times the reference's CPU time, where that exceeds the setting."""
LAST_TRIAL = 3
"""Factor on that CPU time for the second trial of a reference that exceeds it."""
ROOMIER = 4
"""Factor on the limits of memory and answer size for a task whose reference needs more than the settings allow."""
_OVER_LIMIT = (Poison.TIMEOUT, Poison.MEMORY, Poison.OUTPUT)
Tier = Literal["split", "shared"]


class Submission(NamedTuple):
    """A program for a task: a completion, which follows the task's prelude, or a whole program."""

    task: Task
    text: str
    whole: bool = False


class Grade(NamedTuple):
    """The result of one program; `infra` is not a score: the machine or the task failed, not the program."""

    verdict: Literal["pass", "fail", "infra"]
    cause: Poison | None
    detail: str
    food: int
    tier: Tier
    jail: Level
    cpu_s: float


class _Nature(NamedTuple):
    """The results of a task's reference: the ways in which it passes, its CPU seconds, the checks of the shared way."""

    ways: tuple[Way, ...]
    cpu_s: float
    checks: int
    roomy: bool
    """Whether it passes only with more memory or longer answers than the settings allow."""

    def limits(self, given: Limits) -> Limits:
        """Return the given limits, raised to what the reference needs."""
        slower = max(1.0, SLOWER_THAN_REFERENCE * self.cpu_s / given.cpu_s)
        return _scaled(given, slower, ROOMIER if self.roomy else 1)


def _scaled(limits: Limits, slower: float, roomier: int) -> Limits:
    return Limits(
        limits.cpu_s * slower, limits.wall_s * slower, limits.memory_bytes * roomier, limits.answer_bytes * roomier
    )


class Grader:
    """Grades programs in jails that it keeps until `close`; also a context manager."""

    def __init__(
        self, settings: GradingSettings, beat: Beat = no_beat, benches: Mapping[str, BenchSettings] | None = None
    ) -> None:
        """Take limits from the settings, or from the bench that names its own.

        `beat` is called while grades are awaited and a program is within its limits.
        """
        self._beat = beat
        self._due = float("-inf")
        self._due_lock = threading.Lock()
        self.workers = settings.workers or os.cpu_count() or 1
        self.level = choose(settings.jail)
        self._packages = find_packages(settings.packages)
        self._limits = Limits(settings.cpu_s, settings.wall_s, settings.memory_mib << 20)
        self._limits_of = {
            name: self._limits._replace(cpu_s=own.cpu_s or settings.cpu_s, wall_s=own.wall_s or settings.wall_s)
            for name, own in (benches or {}).items()
        }
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
        """Yield grades in the order of the submissions, each as soon as those before it are done.

        Equal programs of one task run once, unless `afresh`. Memory does not grow with the number of programs.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="grader")
        waiting: deque[Future[Grade]] = deque()
        try:
            for submission in submissions:
                waiting.append(self._submit(self._pool, Submission(*submission), afresh))
                if len(waiting) >= WINDOW:
                    yield self._waited_for(waiting.popleft())
            while waiting:
                yield self._waited_for(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()

    def _waited_for(self, future: Future[Grade]) -> Grade:
        while not future.done():
            wait([future], LOOK_S)
            if time.monotonic() < self._due:
                self._beat()
        return future.result()

    def _submit(self, pool: ThreadPoolExecutor, submission: Submission, afresh: bool) -> Future[Grade]:
        if afresh:
            return pool.submit(self._grade, submission)
        key = self._key(submission.task) + digest_text(f"{submission.whole}{submission.text!a}")
        future = self._remembered.get(key)
        if future is None or future.cancelled() or (future.done() and future.result().verdict == "infra"):
            future = self._remembered[key] = pool.submit(self._grade, submission)
        self._remembered.move_to_end(key)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return future

    def reference(self, task: Task) -> Grade:
        """Run the task's own reference and return its grade."""
        return self._asked(Submission(task, task.reference or ""))

    def _asked(self, submission: Submission) -> Grade:
        return next(iter(self.stream([submission], afresh=True)))

    def _grade(self, submission: Submission) -> Grade:
        """Return the grade; an exception of the grader itself becomes `infra`, since the program did not cause it."""
        try:
            return self._judged(submission)
        except Exception as error:
            return Grade("infra", None, f"{type(error).__name__}: {error}"[:300], 0, "split", self.level, 0.0)

    def _judged(self, submission: Submission) -> Grade:
        task, text, whole = submission
        if missing := missing_import(task, self._packages):
            detail = f"its tests import {missing}, which the jail lacks: add it to grading.packages"
            return Grade("infra", None, detail, 0, "split", self.level, 0.0)
        answer, limits = runnable(task, text), self._limits_of.get(task.bench, self._limits)
        source = answer if whole else task.prelude + answer
        ways: tuple[Way, ...] = ("split",)
        if task.reference is not None and uses(task).looks_back:
            # Tests may inspect an argument after the call, so it has to pass in each way that its reference does.
            ways = self._nature(task).ways or ways
        testimony, way = self._in_each(task, source, ways, limits)
        if testimony.cause is None or task.reference is None:
            return self._graded(testimony, way)
        if testimony.cause in _OVER_LIMIT:
            raised = self._nature(task).limits(limits)
            if raised != limits:
                testimony, way = self._in_each(task, source, ways, raised)
        elif task.tests and self._nature(task).ways == ("shared",):
            testimony, way = self._in_each(task, source, ("shared",), limits)
        return self._graded(testimony, way)

    def _in_each(self, task: Task, source: str, ways: tuple[Way, ...], limits: Limits) -> tuple[Testimony, Way]:
        """Return the testimony of the first way that fails, or else of the last."""
        for way in ways:
            testimony = self._examined(task, source, way, limits)
            if way == "shared" and testimony.cause is None and testimony.checks != self._nature(task).checks:
                detail = f"{testimony.checks} checks, not {self._nature(task).checks}"
                testimony = testimony._replace(cause="wrong", detail=detail)
            if testimony.cause is not None:
                break
        return testimony, way

    def _graded(self, testimony: Testimony, way: Way) -> Grade:
        tier: Tier = "shared" if way == "shared" else "split"
        if testimony.flaw or testimony.cause == "infra":
            return Grade("infra", None, testimony.detail, 0, tier, self.level, 0.0)
        cause = Poison(testimony.cause) if testimony.cause is not None else None
        verdict: Literal["pass", "fail"] = "pass" if cause is None else "fail"
        return Grade(verdict, cause, testimony.detail, testimony.held, tier, self.level, testimony.cpu_s)

    def _nature(self, task: Task) -> _Nature:
        """Return the results of the reference, computed once; a CellError is raised and not kept."""
        key = self._key(task)
        if key not in self._natures:
            self._natures[key] = self._found(task)
        return self._natures[key]

    def _found(self, task: Task, *, slower: float = SLOWER_THAN_REFERENCE, roomier: int = 1) -> _Nature:
        source, limits = task.prelude + (task.reference or ""), self._limits_of.get(task.bench, self._limits)
        patient = _scaled(limits, slower * roomier, roomier)
        asked: tuple[Way, ...] = ("split", "in_place") if uses(task).looks_back else ("split",)
        testimonies = {way: self._tried(task, source, way, patient) for way in asked}
        # Tests that never call the candidate would pass in the weaker tier for any program.
        if (
            task.tests
            and not task.cases
            and all(one.cause not in (None, Poison.MISSING) for one in testimonies.values())
        ):
            testimonies["shared"] = self._tried(task, source, "shared", patient)
        causes = {one.cause for one in testimonies.values()}
        if roomier == 1 and causes & {Poison.MEMORY, Poison.OUTPUT}:
            return self._found(task, slower=slower, roomier=ROOMIER)
        if slower == SLOWER_THAN_REFERENCE and Poison.TIMEOUT in causes:
            return self._found(task, slower=slower * LAST_TRIAL, roomier=roomier)
        held: dict[Way, Testimony] = {way: one for way, one in testimonies.items() if one.cause is None}
        checks = held["shared"].checks if "shared" in held else 0
        return _Nature(tuple(held), max((one.cpu_s for one in held.values()), default=0.0), checks, roomier > 1)

    def _examined(self, task: Task, source: str, way: Way, limits: Limits) -> Testimony:
        """Run once; where the cell is lost, a run of the reference decides whether the program is the cause."""
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
        """Run once in this thread's cell; a lost cell is closed, and the next call starts another."""
        cell: Cell | None = getattr(self._own, "cell", None)
        if cell is None:
            cell = self._own.cell = Cell(self.level, self._packages)
            self._cells.append(cell)
        with self._due_lock:
            self._due = max(self._due, time.monotonic() + patience(task, limits))
        try:
            return cell.examine(self._key(task), task, source, way, limits)
        except CellError:
            self._own.cell = None
            self._cells.remove(cell)
            cell.close()
            raise

    def _key(self, task: Task) -> str:
        """Return a task's digest, computed once per object."""
        kept = self._keys.get(id(task))
        if kept is None:
            if len(self._keys) >= REMEMBERED:
                self._keys.clear()
            kept = self._keys[id(task)] = (task, digest_text(task.model_dump_json()))
        return kept[1]
