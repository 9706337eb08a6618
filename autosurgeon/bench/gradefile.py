"""Grading a file of samples into a result file: in order, and continued where it was cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import structlog

from autosurgeon.bench.formats.samples import Sample, read_samples
from autosurgeon.bench.grade import Grade, Grader, Submission
from autosurgeon.bench.machine_sanity import Sanity
from autosurgeon.bench.results import ResultFile, ResultRow
from autosurgeon.bench.runnable import cut_sample
from autosurgeon.bench.score import Score, Tally
from autosurgeon.core.digest import digest_text
from autosurgeon.core.task import Task
from autosurgeon.errors import UserError, nearest

OnGraded = Callable[[int, int], None]
"""Called with samples done and samples in all."""


class _Numbered(NamedTuple):
    sample: Sample
    task: Task
    number: int
    """Its number among the samples of its task, from 0."""


def grade_file(
    tasks: Mapping[str, Task],
    samples: Path,
    out: Path,
    grader: Grader,
    on_graded: OnGraded,
    quarantined: Collection[str] = (),
) -> Score:
    """Grade every sample that the result file does not hold yet; the score of the whole file.

    Memory grows with the tasks, not with the samples.

    Raises:
        UserError: a row of the samples does not fit, or the results there are of other samples; nothing was graded.
        WorldError: references do not pass here, before or after.

    """
    skipped: set[str] = set()
    total = sum(1 for _ in _numbered(samples, tasks, skipped))
    if skipped and not total:
        raise UserError("no sample is of a task of this bench", got=min(skipped), wanted=min(tasks), where=samples)
    if skipped:
        structlog.get_logger().warning("samples_of_another_release", tasks=len(skipped), first=sorted(skipped)[:10])
    tally = Tally(tasks, quarantined)
    with ResultFile(out) as results:
        todo = _numbered(samples, tasks, skipped)
        done = 0
        for row in results.held():
            _check_that_it_fits(row, next(todo, None), out)
            tally.add(row)
            done += 1
        if done == total:
            return tally.score()
        on_graded(done, total)
        sanity = Sanity(grader, tasks.values())
        sanity.before()
        for numbered, grade in _graded(grader, todo):
            row = _row(numbered, grade)
            results.append(row)
            tally.add(row)
            done += 1
            on_graded(done, total)
        sanity.after()
    return tally.score()


def _numbered(samples: Path, tasks: Mapping[str, Task], skipped: set[str]) -> Iterator[_Numbered]:
    """The samples with their tasks; tasks of a result file that this release of the bench lacks go to `skipped`."""
    counts: dict[str, int] = {}
    numbered = _by_number(tasks)
    for sample in read_samples(samples):
        if sample.evaluated and sample.task_id not in tasks:
            skipped.add(sample.task_id)
            continue
        task = _task_of(sample, tasks, numbered, samples)
        number = counts.get(task.task_id, 0)
        counts[task.task_id] = number + 1
        yield _Numbered(sample, task, number)


def _by_number(tasks: Mapping[str, Task]) -> dict[str, list[str]]:
    """The ids that end in a slash and a number, by that number: `Mbpp/11` by `11`, as MBPP itself has it."""
    found: dict[str, list[str]] = {}
    for task_id in tasks:
        before, slash, number = task_id.rpartition("/")
        if before and slash and number.isascii() and number.isdigit():
            found.setdefault(number, []).append(task_id)
    return found


def _task_of(sample: Sample, tasks: Mapping[str, Task], numbered: Mapping[str, list[str]], samples: Path) -> Task:
    """The task of a sample: by its id, or by the bare number that ends one id of the bench alone."""
    meant = [sample.task_id] if sample.task_id in tasks else numbered.get(sample.task_id, [])
    if len(meant) == 1:
        return tasks[meant[0]]
    where = f"{samples}:{sample.line}"
    if meant:
        wanted = f"one of {', '.join(meant[:3])}{', ...' if len(meant) > 3 else ''}"
        raise UserError("a sample's number is of several tasks", got=sample.task_id, wanted=wanted, where=where)
    wanted = nearest(sample.task_id, tasks)
    raise UserError("a sample of no task", got=sample.task_id[:80], wanted=wanted, where=where)


def _check_that_it_fits(row: ResultRow, numbered: _Numbered | None, out: Path) -> None:
    sample = "no sample" if numbered is None else f"sample {numbered.number} of {numbered.task.task_id}"
    if numbered is None or (row.task_id, row.sample, row.program) != (
        numbered.task.task_id,
        numbered.number,
        _program(numbered.sample),
    ):
        raise UserError(
            "these results are of other samples; name another --out, or delete it",
            got=f"sample {row.sample} of {row.task_id}",
            wanted=sample,
            where=out,
        )


def _graded(grader: Grader, todo: Iterator[_Numbered]) -> Iterator[tuple[_Numbered, Grade]]:
    """Each sample with its grade; the grader reads some samples ahead."""
    ahead: deque[_Numbered] = deque()

    def submissions() -> Iterator[Submission]:
        for numbered in todo:
            ahead.append(numbered)
            task, sample = numbered.task, numbered.sample
            text = sample.text if sample.whole or sample.is_cut else cut_sample(task, sample.text)
            yield Submission(task, text, sample.whole)

    for grade in grader.stream(submissions()):
        yield ahead.popleft(), grade


def _row(numbered: _Numbered, grade: Grade) -> ResultRow:
    return ResultRow(
        task_id=numbered.task.task_id,
        sample=numbered.number,
        verdict=grade.verdict,
        cause=grade.cause,
        tier=grade.tier,
        jail=grade.jail,
        cpu_s=round(grade.cpu_s, 6),
        food=grade.food,
        detail=grade.detail,
        program=_program(numbered.sample),
    )


def _program(sample: Sample) -> str:
    return digest_text(f"{sample.whole}:{sample.text}")[:12]
