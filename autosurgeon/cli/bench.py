"""`autosurgeon bench`: grading of samples, checks and comparisons of benches, runs of a model or a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli import bench_compare
from autosurgeon.cli.bench_scores import print_checks, print_score
from autosurgeon.cli.options import ConfigOption, JsonOption, WorkspaceOption
from autosurgeon.errors import ExitCode

if TYPE_CHECKING:
    from autosurgeon.bench.check_references import TaskCheck
    from autosurgeon.core.task import Task
    from autosurgeon.sections import GradingSettings

app = typer.Typer(no_args_is_help=True, help="Grade samples, check a bench, compare results, run a bench on a model.")
app.command("compare")(bench_compare.compare)

FormatOption = Annotated[
    str,
    typer.Option("--format", help="humaneval, mbpp, humaneval+, mbpp+, livecodebench, or native for your own tasks."),
]
TasksOption = Annotated[Path, typer.Option("--tasks", help="The bench's file as published, plain or .gz.")]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", min=1, max=1024, help="Programs at once; one per core when empty.")
]
JailOption = Annotated[
    str | None, typer.Option("--jail", help="bwrap, landlock or plain; the strongest that works when empty.")
]
OutOption = Annotated[
    Path, typer.Option("--out", help="Result file with one row per sample; an existing file is continued.")
]
QuarantineOption = Annotated[
    Path | None, typer.Option("--quarantine", help="Tasks that `bench check` found unusable; they are not counted.")
]


@app.command("grade")
def grade(
    format: FormatOption,
    tasks: TasksOption,
    samples: Annotated[
        Path, typer.Option("--samples", help="JSONL of task_id and completion or solution, or an EvalPlus result file.")
    ],
    out: OutOption,
    jobs: JobsOption = None,
    jail: JailOption = None,
    quarantine: QuarantineOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grade a file of samples; exit code 6 if some cannot be graded."""
    from autosurgeon.bench.grade import Grader
    from autosurgeon.bench.gradefile import grade_file
    from autosurgeon.bench.quarantine import read_quarantine
    from autosurgeon.cli.view import counting

    known = _tasks(tasks, format)
    shut = read_quarantine(quarantine) if quarantine else {}
    with Grader(_grading(config, jobs, jail)) as grader, counting("graded") as show:
        score = grade_file(known, samples, out, grader, show, shut)
    print_score(score, out, as_json=as_json)


@app.command("check")
def check(
    format: FormatOption,
    tasks: TasksOption,
    quarantine: Annotated[
        Path | None, typer.Option("--quarantine", help="Write the unusable tasks and the reasons into this file.")
    ] = None,
    jobs: JobsOption = None,
    jail: JailOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grade every reference three times, and wrong variants of it; exit code 15 if a task is unusable."""
    from autosurgeon.bench.check_references import check_tasks
    from autosurgeon.bench.grade import Grader
    from autosurgeon.bench.quarantine import write_quarantine
    from autosurgeon.cli.render import print_json
    from autosurgeon.cli.view import counting

    known = _tasks(tasks, format)
    found: list[TaskCheck] = []
    with Grader(_grading(config, jobs, jail)) as grader, counting("checked") as show:
        for checked in check_tasks(grader, known.values()):
            found.append(checked)
            show(len(found), len(known))
        level = grader.level
    unusable = {checked.task_id: f"{checked.state}: {checked.detail}" for checked in found if not checked.usable}
    if quarantine is not None:
        write_quarantine(quarantine, unusable)
    if as_json:
        print_json({"jail": level, "tasks": [checked.model_dump(mode="json") for checked in found]})
    else:
        print_checks(found, level)
    if unusable:
        raise typer.Exit(ExitCode.FINDING)


@app.command("run")
def run(
    format: FormatOption,
    tasks: TasksOption,
    out: OutOption,
    model: Annotated[Path | None, typer.Option("--model", help="Folder of a checkpoint.")] = None,
    pack: Annotated[
        str | None, typer.Option("--pack", help="A pack of the workspace, by the first digits of its digest.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Address of an OpenAI completions server, including /v1.")
    ] = None,
    served: Annotated[
        str | None,
        typer.Option(
            "--served", help="Name of the server's model, such as a pack's digest; its only model when empty."
        ),
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", help="A: only the fallback, B: only the organ, C: both, all: each mode.")
    ] = "B",
    samples: Annotated[
        int, typer.Option("--samples", min=1, max=10_000, help="Answers per task; more than one needs a temperature.")
    ] = 1,
    temperature: Annotated[float, typer.Option("--temperature", min=0, max=2, help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the sampling.")] = 0,
    workspace: WorkspaceOption = Path("."),
    jobs: JobsOption = None,
    jail: JailOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a bench on a model, a pack or a server and grade the answers; answers and report are written next to --out.

    Exit code 13 if mode B has answers that are not the organ's, 6 if some answers cannot be graded.
    """
    from autosurgeon.cli import bench_modes
    from autosurgeon.errors import UserError
    from autosurgeon.wiring import settings_of

    if samples > 1 and temperature == 0:
        raise UserError("greedy answers are identical", got=f"--samples {samples}", wanted="--temperature above 0")
    organ = bench_modes.Organ(workspace, model, pack, url, served)
    modes = bench_modes.modes_of(mode, organ)
    known = _tasks(tasks, format)
    report = bench_modes.answer_and_grade(
        settings_of(workspace, config).model_copy(update={"grading": _grading(config, jobs, jail)}),
        modes,
        organ,
        known,
        out,
        (samples, temperature, seed),
    )
    bench_modes.show(report, out, as_json=as_json)


def _tasks(path: Path, format: str) -> dict[str, Task]:
    from autosurgeon.bench.formats.read import FORMATS, read_bench
    from autosurgeon.errors import UserError, nearest

    if format not in FORMATS:
        raise UserError("unknown format", got=format, wanted=nearest(format, FORMATS))
    return {task.task_id: task for task in read_bench(path, format)}


def _grading(config: Path | None, jobs: int | None, jail: str | None) -> GradingSettings:
    from autosurgeon.bench.jail import LEVELS
    from autosurgeon.config import load_settings
    from autosurgeon.errors import UserError, nearest

    if jail is not None and jail not in LEVELS:
        raise UserError("unknown jail", got=jail, wanted=nearest(jail, LEVELS))
    changes = {"workers": jobs, "jail": jail}
    return load_settings(config).grading.model_copy(update={k: v for k, v in changes.items() if v is not None})
