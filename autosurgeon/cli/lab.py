"""`autosurgeon lab`: the embedded benchmarks, tasks and base model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from autosurgeon.errors import ExitCode

app = typer.Typer(no_args_is_help=True, help="The lab: embedded tasks, benchmarks and a base model.")


@app.command("build")
def build(
    target: Annotated[Path, typer.Option("--target", help="A new folder for the lab's files.")] = Path("lab"),
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of rows and weights.")] = None,
) -> None:
    """Build the lab: generate the tasks and train the base from scratch (minutes on two cores)."""
    from autosurgeon.bench.grade import Grader
    from autosurgeon.cli.render import say
    from autosurgeon.cli.view import reporting
    from autosurgeon.config import load_settings
    from autosurgeon.lab.build import LabRecipe, build_lab
    from autosurgeon.wiring import open_capsules

    settings = load_settings(None)
    recipe = LabRecipe() if seed is None else LabRecipe(seed=seed)
    with (
        tempfile.TemporaryDirectory() as home,
        open_capsules(settings, Path(home)) as capsules,
        reporting() as reporter,
    ):
        reporter.stage_started("lab", "pretraining")

        def show(done: int, total: int, metrics: dict[str, float]) -> None:
            reporter.progress(done, total, f"steps, loss {metrics['loss']:.2f}" if "loss" in metrics else "prompts")

        manifest = build_lab(capsules, Grader(settings.grading), target, recipe, show)
    wins = ", ".join(f"{bench} {count}" for bench, count in manifest.wins.items())
    size = f"{manifest.parameters / 1e6:.1f} M parameters, {manifest.tokens / 1e6:.1f} M tokens"
    say(f"{target}: {size}; base wins: {wins}")


@app.command("check")
def check(
    folder: Annotated[Path | None, typer.Option("--folder", help="A lab to check; the shipped one when empty.")] = None,
) -> None:
    """Check a lab: its files, its generated tasks and the base's wins, measured again; exit code 15 on a difference."""
    from autosurgeon.bench.grade import Grader
    from autosurgeon.cli.render import say
    from autosurgeon.config import load_settings, shipped
    from autosurgeon.lab.build import check_lab
    from autosurgeon.wiring import open_capsules

    settings = load_settings(None)
    with tempfile.TemporaryDirectory() as home, open_capsules(settings, Path(home)) as capsules:
        good = check_lab(
            capsules,
            Grader(settings.grading),
            folder or shipped("data", "lab"),
            Path(home) / "check",
            lambda text, fine: say(f"{'ok ' if fine else 'BAD'} {text}"),
        )
    if not good:
        raise typer.Exit(ExitCode.FINDING)
