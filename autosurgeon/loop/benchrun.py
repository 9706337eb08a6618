"""Benching a model outside the loop: its answers to a bench, as samples, and their grades."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from autosurgeon.bench.formats.samples import Sample, write_samples
from autosurgeon.bench.grade import Grader
from autosurgeon.bench.gradefile import grade_file
from autosurgeon.bench.score import Score
from autosurgeon.core.ports import CapsuleRunner
from autosurgeon.core.task import Task
from autosurgeon.errors import UserError
from autosurgeon.loop.complete import Model, Sampling, complete
from autosurgeon.sections import OrganSettings


def bench_model(
    capsules: CapsuleRunner,
    grader: Grader,
    organ: OrganSettings,
    model: tuple[str, Path],
    tasks: Mapping[str, Task],
    out: Path,
    sampling: Sampling,
    on_progress: Callable[[int, int], None],
) -> Score:
    """Generate `sampling.samples` answers per task, write them beside `out` as samples, and grade them.

    Answers of an earlier run that was cut while grading are taken as they are.
    """
    answers = samples_beside(out)
    if not answers.exists():
        if out.exists():
            raise UserError("these results are of other samples; name another --out, or delete it", where=out)
        folder = out.parent / f".{out.name}.answers"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            texts = complete(capsules, organ, Model(*model), list(tasks.values()), folder, sampling, on_progress).texts
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        write_samples(answers, (Sample(task_id, text, False) for task_id in tasks for text in texts[task_id]))
    return grade_file(tasks, answers, out, grader, on_progress)


def samples_beside(out: Path) -> Path:
    """Where the answers of a result file are: `x.jsonl` has its answers in `x.samples.jsonl`."""
    return out.with_name(f"{out.stem}.samples.jsonl")
