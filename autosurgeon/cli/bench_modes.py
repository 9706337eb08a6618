"""`autosurgeon bench run`: the model of each mode, and the table of results."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from autosurgeon.errors import ExitCode

if TYPE_CHECKING:
    from autosurgeon.benchrun.answer_sources import Source
    from autosurgeon.benchrun.modes import BenchOfMode, ModeReport, ModeRun
    from autosurgeon.config import Settings
    from autosurgeon.core.envelope import Mode
    from autosurgeon.core.task import Task
    from autosurgeon.runner.capsules import Capsules

EVERY = "all"
COLUMNS = (
    *("bench", "mode", "won", "tasks", "pass@k", "organs used", "organ", "fallback", "foreign", "reported"),
    *("tokens", "seconds", "verdict", "failed by"),
)


class Organ(NamedTuple):
    """The flags that name the organ; without any, the settings' model."""

    workspace: Path
    model: Path | None
    pack: str | None
    url: str | None
    served: str | None


def modes_of(named: str, organ: Organ) -> list[Mode]:
    """Parse the modes; UserError for a flag that does not apply to them."""
    from autosurgeon.core.envelope import Mode
    from autosurgeon.errors import UserError, nearest

    known = [mode.value for mode in Mode]
    if named not in (*known, EVERY):
        raise UserError("unknown mode", got=named, wanted=nearest(named, (*known, EVERY)))
    flags = {"--model": organ.model, "--pack": organ.pack, "--url": organ.url}
    given = [flag for flag, value in flags.items() if value is not None]
    if len(given) > 1:
        raise UserError("the organ is named twice", got=" and ".join(given), wanted="one of them")
    if organ.served is not None and organ.url is None:
        raise UserError("--served names a server's model", got="no --url", wanted="--served with --url")
    if named == Mode.FALLBACK_ALONE.value and given:
        raise UserError("mode A asks only the fallback", got=given[0], wanted="mode B or C, or no such flag")
    return list(Mode) if named == EVERY else [Mode(named)]


def answer_and_grade(
    settings: Settings,
    modes: Sequence[Mode],
    organ: Organ,
    tasks: dict[str, Task],
    out: Path,
    sampling: tuple[int, float, int],
) -> ModeReport:
    """Build the models of the modes and run the bench; `sampling` is samples, temperature and seed."""
    from autosurgeon.bench.grade import Grader
    from autosurgeon.benchrun.run_modes import Progress, Sources, bench_modes
    from autosurgeon.cli.view import counting
    from autosurgeon.core.envelope import Mode
    from autosurgeon.loop.stages.generate_answers import Sampling
    from autosurgeon.wiring import fallback_source, open_capsules

    with (
        tempfile.TemporaryDirectory() as home,
        open_capsules(settings, Path(home), report=functools.partial(typer.echo, err=True)) as capsules,
        Grader(settings.grading) as grader,
        counting("graded") as show,
    ):
        progress = Progress(generated=functools.partial(show, word="answered"), graded=show)
        sources = Sources(
            organ=_organ_source(settings, capsules, organ, out) if set(modes) != {Mode.FALLBACK_ALONE} else None,
            fallback=fallback_source(settings, capsules, out.parent / f".{out.name}.fallback")
            if set(modes) != {Mode.ORGAN_ALONE}
            else None,
        )
        return bench_modes(modes, sources, tasks, out, Sampling(*sampling), grader, progress)


def _organ_source(settings: Settings, capsules: Capsules, organ: Organ, out: Path) -> Source:
    from autosurgeon.errors import UserError
    from autosurgeon.loop.stages.open_checkpoint import open_checkpoint
    from autosurgeon.wiring import folder_source, model_folder, served_source

    if organ.url is not None:
        if settings.organ.prompt == "chat":
            raise UserError(
                "a completions server does not accept chats",
                got='organ.prompt = "chat"',
                wanted='organ.prompt = "completion", or --model with the folder that it serves',
                where=organ.url,
            )
        return served_source(settings, organ.url, settings.serving.api_key, organ.served)
    found = model_folder(organ.workspace, settings, organ.model, organ.pack)
    open_checkpoint(capsules, found[1])
    return folder_source(settings, capsules, found, out.parent / f".{out.name}.organ")


def show(report: ModeReport, out: Path, *, as_json: bool) -> None:
    """Print the report, and exit with its exit code."""
    from autosurgeon.cli.render import print_json

    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _print(report, out)
    if report.is_invalid:
        raise typer.Exit(ExitCode.INVALID)
    if report.infra:
        raise typer.Exit(ExitCode.WORLD)


def _print(report: ModeReport, out: Path) -> None:
    from autosurgeon.benchrun.run_modes import report_path
    from autosurgeon.cli.bench_scores import remarks
    from autosurgeon.cli.render import one_line, print_table, say

    rows = [_row(run, bench) for run in report.runs for bench in run.benches]
    print_table(f"report in {report_path(out)}", COLUMNS, rows)
    flips = [
        (f"{flips.before.value} to {flips.after.value}", word, task_id)
        for flips in report.flips
        for word, ids in (("lost", flips.lost), ("gained", flips.gained))
        for task_id in ids
    ]
    if flips:
        print_table("tasks whose first samples differ between modes", ("modes", "flip", "task"), flips)
    for run in report.runs:
        for bench in run.benches:
            for line in remarks(bench):
                say(f"mode {run.mode.value}: {line}")
            if bench.fallback_wins:
                say(
                    f"mode {run.mode.value}: {bench.bench}: {len(bench.fallback_wins)} of {bench.won} wins are "
                    "the fallback's, not the organ's"
                )
            for task_id, why in bench.unanswered.items():
                missing = f"{one_line(task_id)} has no answer and no score: {one_line(why)}"
                say(f"mode {run.mode.value}: {bench.bench}: {missing}")
            if bench.unanswered:
                say("run the same command again to ask unanswered tasks")
            for why in bench.invalid:
                say(f"mode {run.mode.value}: {bench.bench}: INVALID: {one_line(why)}")


def _row(run: ModeRun, bench: BenchOfMode) -> tuple[object, ...]:
    from autosurgeon.cli.render import one_line

    seconds = run.graded_s + (run.generated_s or 0)
    verdict = None if run.verdict is None else "INVALID" if bench.invalid else "VALID"
    return (
        bench.bench,
        run.mode.value,
        bench.won,
        bench.tasks,
        ", ".join(f"{k}: {value:.1%}" for k, value in bench.pass_at.items()),
        one_line(", ".join(name[:12] for name in bench.organs_used)),
        bench.organ_answers,
        bench.fallbacks,
        one_line(", ".join(f"{handler} {count}" for handler, count in bench.foreign.items())) or 0,
        one_line(", ".join(name[:12] for name in bench.reported)),
        bench.tokens,
        f"{seconds:.1f}",
        verdict,
        ", ".join(f"{cause} {count}" for cause, count in bench.causes.items()),
    )
