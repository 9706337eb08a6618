"""`autosurgeon init`: a settings file for your organ and benches, checked before it is written."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.options import WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.core.task import Task
    from autosurgeon.sections import BenchSettings, OrganSettings

BenchFile = Path | None


def init(
    organ: Annotated[
        str | None,
        typer.Option("--organ", help="Folder of a checkpoint, or owner/name on the hub; the lab's organ when empty."),
    ] = None,
    revision: Annotated[
        str | None, typer.Option("--revision", help="Commit of a checkpoint on the hub, 40 hex digits.")
    ] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="qwen2.5-coder-0.5b, or generic.")] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="Train on an NF4 base and generate in large batches.")] = False,
    humaneval: Annotated[BenchFile, typer.Option("--humaneval", help="HumanEval's file, plain or .gz.")] = None,
    mbpp: Annotated[BenchFile, typer.Option("--mbpp", help="MBPP's full file; tasks 11 to 110 are used.")] = None,
    livecodebench: Annotated[
        BenchFile, typer.Option("--livecodebench", help="A LiveCodeBench file; its first 50 rows are used.")
    ] = None,
    tasks: Annotated[BenchFile, typer.Option("--tasks", help="Your own tasks, in the native format.")] = None,
    prompt: Annotated[
        str,
        typer.Option("--prompt", help="completion, chat, or auto: try both on an instruct model and keep the better."),
    ] = "auto",
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Use at most this number of rows per bench.")
    ] = None,
    workspace: WorkspaceOption = Path("."),
) -> None:
    """Check organ and bench files and write an `autosurgeon.toml` for `run`.

    Existing settings are not overwritten, and nothing is written if a check fails.
    """
    from autosurgeon.cli.init_prompt import choose_prompt
    from autosurgeon.cli.presets import lab_file, organ_lines, preset_of, published_bench, settings_file
    from autosurgeon.cli.render import say
    from autosurgeon.config import CONFIG_FILE
    from autosurgeon.errors import UserError
    from autosurgeon.sections import BenchSettings

    target = workspace / CONFIG_FILE
    if target.exists():
        raise UserError("the settings file exists already and is not overwritten", where=target)
    given = {"humaneval": humaneval, "mbpp": mbpp, "livecodebench": livecodebench}
    benches = {name: published_bench(name, file, rows) for name, file in given.items() if file is not None}
    if tasks is not None:
        taken = {"count": rows} if rows is not None else {}
        benches["mine"] = BenchSettings.model_validate({"tasks": tasks.resolve(), **taken})
    if organ is None:
        if benches or preset or gpu or revision or prompt != "auto":
            raise UserError("these options need an organ", wanted="--organ with a checkpoint's folder")
        text = lab_file()
    else:
        chosen = preset_of(preset or "generic")
        if not benches:
            raise UserError(
                "an organ needs benches", wanted="--humaneval, --mbpp, --livecodebench or --tasks with a file"
            )
        folder, known = _check_organ(organ, revision), _known(workspace, benches)
        _print_tasks(benches, known)
        named = organ if revision else str(Path(organ).resolve())
        text_of = functools.partial(settings_file, chosen, organ_lines(named, revision), benches, gpu=gpu)
        text = text_of(prompt=choose_prompt(prompt, folder, lambda name: text_of(prompt=name), known))
    _write(target, text)
    _warn_of_obstacles(workspace)
    place = "" if workspace == Path(".") else f" --workspace {workspace}"
    say(f"written: {target}; next: `autosurgeon doctor{place}`, then `autosurgeon run{place}`")


def _check_organ(organ: str, revision: str | None) -> Path:
    """Open an organ, downloading it if needed, and return its folder; UserError for an organ that the loop refuses."""
    from autosurgeon.cli.render import say
    from autosurgeon.config import Settings
    from autosurgeon.core.recipe import Quantization
    from autosurgeon.errors import InstallError
    from autosurgeon.loop.stages.open_checkpoint import open_checkpoint
    from autosurgeon.runner.stack import check_stack
    from autosurgeon.wiring import open_capsules, with_organ_folder

    settings = with_organ_folder(Settings().model_copy(update={"organ": _organ_settings(organ, revision)}))
    folder = settings.organ_folder
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    say(f"organ: {size / 1e6:.1f} MB of BF16 weights in {folder}")
    try:
        check_stack(settings.capsule.python, Quantization.NONE)
    except InstallError as error:
        say(f"the organ is not opened yet, `doctor` and `run` open it: {error}")
        return folder
    with tempfile.TemporaryDirectory() as home, open_capsules(settings, Path(home)) as capsules:
        opened = open_checkpoint(capsules, folder)
    say(f"organ: {opened.architecture} of {opened.parameters / 1e6:.1f} million parameters")
    return folder


def _organ_settings(organ: str, revision: str | None) -> OrganSettings:
    """Return the settings of a folder or of a commit on the hub; UserError if the options name neither."""
    from pydantic import ValidationError

    from autosurgeon.errors import UserError
    from autosurgeon.sections import OrganSettings

    is_folder = Path(organ).exists()
    if revision is not None and is_folder:
        raise UserError("a folder has no revision", got=organ, wanted="owner/name on the hub, or no --revision")
    if revision is None and not is_folder:
        raise UserError(
            "there is no such folder, and a checkpoint on the hub needs its commit",
            got=organ,
            wanted="a checkpoint's folder, or --revision with 40 hex digits",
        )
    try:
        return OrganSettings(model=Path(organ)) if revision is None else OrganSettings(hub=organ, revision=revision)
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--revision" if first["loc"] == ("revision",) else "--organ"
        wanted = "the 40 hex digits of a commit" if flag == "--revision" else "owner/name"
        raise UserError(f"{flag} is invalid for the hub", got=repr(first["input"]), wanted=wanted) from error


def _known(workspace: Path, benches: dict[str, BenchSettings]) -> dict[str, Task]:
    from autosurgeon.config import Settings
    from autosurgeon.wiring import tasks_in

    return tasks_in(workspace, Settings().model_copy(update={"benches": benches}))


def _print_tasks(benches: dict[str, BenchSettings], tasks: dict[str, Task]) -> None:
    """Print the number of tasks by bench and split, and how many are near duplicates."""
    from collections import Counter

    from autosurgeon.cli.render import print_table, say
    from autosurgeon.core.task import Split

    cells = Counter((task.bench, task.split) for task in tasks.values())
    rows = [
        (name, *(cells[name, split] for split in Split), sum(cells[name, split] for split in Split)) for name in benches
    ]
    print_table("tasks", ("bench", *(split.value for split in Split), "all"), rows)
    shared = Counter(task.cluster for task in tasks.values())
    groups = [size for size in shared.values() if size > 1]
    if groups:
        say(f"{sum(groups)} tasks are near duplicates, in {len(groups)} groups; each group is in one split")


def _warn_of_obstacles(workspace: Path) -> None:
    """Show what keeps every pass from being accepted, as far as the files show it; the settings are still written."""
    from autosurgeon.cli.doctor_prospects import prospects_of
    from autosurgeon.cli.render import say
    from autosurgeon.errors import UserError
    from autosurgeon.wiring import settings_of

    try:
        _, notes = prospects_of(workspace, settings_of(workspace))
    except UserError as error:
        notes = [f"no pass can start: {error}"]
    for note in notes:
        say(note)


def _write(target: Path, text: str) -> None:
    from autosurgeon.errors import UserError

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError("the settings cannot be written", got=error.strerror, where=target) from error
