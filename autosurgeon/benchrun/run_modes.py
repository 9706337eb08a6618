"""Runs of a bench outside the loop: answers by mode as samples, their grades, and the report."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from autosurgeon.bench.answerfile import Asked, read_answers, write_answers
from autosurgeon.bench.grade import Grader
from autosurgeon.bench.gradefile import grade_file
from autosurgeon.bench.results import read_results
from autosurgeon.benchrun.answer_sources import OnProgress, Source
from autosurgeon.benchrun.modes import (
    ModeReport,
    ModeRun,
    as_fallback,
    benches_of,
    first_samples,
    flips_between,
    unusable,
    verdict_of,
    with_fallback,
)
from autosurgeon.core.answers import Answers
from autosurgeon.core.envelope import Mode
from autosurgeon.core.task import Task
from autosurgeon.errors import UserError
from autosurgeon.loop.stages.generate_answers import Sampling


class Sources(NamedTuple):
    """The models that answer; None for one that the modes do not need."""

    organ: Source | None
    fallback: Source | None


class Progress(NamedTuple):
    """Callbacks with (done, total) of generation and of grading."""

    generated: OnProgress
    graded: OnProgress


def bench_modes(
    modes: Sequence[Mode],
    sources: Sources,
    tasks: Mapping[str, Task],
    out: Path,
    sampling: Sampling,
    grader: Grader,
    progress: Progress,
) -> ModeReport:
    """Run the bench in each mode, and write answers, results and the report next to `out`.

    The results of one mode are written to `out`, those of several modes to a file each. Each model answers once: mode C
    combines the answers of A and B if they exist. Answers of an interrupted earlier run are reused; UserError if they
    belong to other tasks or conditions.
    """
    answering = _Answering(sources, tasks, sampling, progress.generated)
    runs, won = [], {}
    for mode in sorted(modes):
        results = out if len(modes) == 1 else out.with_name(f"{out.stem}.{mode.value}{out.suffix}")
        began = time.monotonic()
        answers, is_fresh = _kept(answering, mode, results)
        generated_s = round(time.monotonic() - began, 3) if is_fresh else None
        began = time.monotonic()
        score = grade_file(tasks, samples_path(results), results, grader, progress.graded)
        won[mode] = first_samples(read_results(results))
        benches = benches_of(mode, tasks, answers, score, won[mode])
        runs.append(
            ModeRun(
                mode=mode,
                results=results.name,
                verdict=verdict_of(mode, benches),
                fingerprint=answers.fingerprint,
                generated_s=generated_s,
                graded_s=round(time.monotonic() - began, 3),
                benches=benches,
            )
        )
    report = ModeReport(runs=tuple(runs), flips=flips_between(won))
    _write(report_path(out), report)
    return report


def samples_path(out: Path) -> Path:
    """Return the file with a result file's answers: `x.samples.jsonl` for `x.jsonl`."""
    return out.with_name(f"{out.stem}.samples.jsonl")


def report_path(out: Path) -> Path:
    """Return the file of the report: `x.report.json` for `x.jsonl`."""
    return out.with_name(f"{out.stem}.report.json")


def _kept(answering: _Answering, mode: Mode, results: Path) -> tuple[Answers, bool]:
    """Return the mode's answers, stored next to its results, and whether a model was asked for them."""
    path, asked = samples_path(results), answering.asked(mode)
    if path.exists():
        known = read_answers(path, asked, answering.tasks)
        answers = answering.completed(mode, known)
        if answers is not known:
            write_answers(path, asked, answers)
        return answers, False
    if results.exists():
        raise UserError(
            "the result file belongs to other samples; name another --out, or delete the file", where=results
        )
    before = answering.times
    answers = answering.of(mode)
    write_answers(path, asked, answers)
    return answers, answering.times > before


class _Answering:
    """Collects answers by mode; each model is asked once for a task."""

    def __init__(
        self, sources: Sources, tasks: Mapping[str, Task], sampling: Sampling, on_progress: OnProgress
    ) -> None:
        self.tasks = tasks
        self.times = 0
        """Number of requests to models."""
        self._sources, self._sampling, self._on_progress = sources, sampling, on_progress
        self._known: dict[Mode, Answers] = {}

    def asked(self, mode: Mode) -> Asked:
        """Return the conditions of a mode's answers."""
        names = {
            Mode.FALLBACK_ALONE: (self._sources.fallback,),
            Mode.ORGAN_ALONE: (self._sources.organ,),
            Mode.ORGAN_WITH_FALLBACK: self._sources,
        }[mode]
        how = f"temperature {self._sampling.temperature:g}, seed {self._sampling.seed}"
        who = ", else ".join(source.name for source in names if source is not None)
        return Asked(mode.value, f"{who}; {how}", self._sampling.samples)

    def completed(self, mode: Mode, known: Answers) -> Answers:
        """Return the answers of an earlier run of this mode, with new ones to the tasks that it left unanswered."""
        left = [task for task_id, task in self.tasks.items() if task_id not in known.replies]
        answers = known
        if left:
            new = self._asked(mode, left)
            # The answers that mode C combines are checked on their own.
            is_comparable = mode == Mode.ORGAN_WITH_FALLBACK or new.fingerprint == known.fingerprint
            if any(new.replies.values()) and not is_comparable:
                raise UserError(
                    "unanswered tasks are now answered under other conditions; name another --out",
                    got=f"fingerprint {new.fingerprint}",
                    wanted=known.fingerprint,
                )
            # New answers follow the known ones, whose results are kept.
            answers = Answers(known.replies | new.replies, known.fingerprint, new.unanswered)
        self._known[mode] = answers
        return answers

    def of(self, mode: Mode) -> Answers:
        """Return the answers of a mode, asking for unknown ones."""
        if mode not in self._known:
            self._known[mode] = self._asked(mode, list(self.tasks.values()))
        return self._known[mode]

    def _asked(self, mode: Mode, tasks: Sequence[Task]) -> Answers:
        if mode == Mode.ORGAN_WITH_FALLBACK:
            return self._combine(tasks)
        if mode == Mode.FALLBACK_ALONE:
            return as_fallback(self._ask(self._sources.fallback, tasks))
        return self._ask(self._sources.organ, tasks)

    def _combine(self, tasks: Sequence[Task]) -> Answers:
        organ = self.of(Mode.ORGAN_ALONE)
        fallback = self._known.get(Mode.FALLBACK_ALONE)
        if fallback is None:
            fallback = as_fallback(self._ask(self._sources.fallback, unusable(tasks, organ)))
        return with_fallback(tasks, organ, fallback)

    def _ask(self, source: Source | None, tasks: Sequence[Task]) -> Answers:
        assert source is not None, "a mode has its sources"
        self.times += 1
        return source.answer(tasks, self._sampling, self._on_progress)


def _write(path: Path, report: ModeReport) -> None:
    staged = path.with_name(path.name + ".part")
    try:
        staged.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
        os.replace(staged, path)
    except OSError as error:
        raise UserError("a report cannot be written", got=error, where=path) from error
