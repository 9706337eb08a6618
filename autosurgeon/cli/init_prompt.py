"""`init` asks an instruct model some tasks by completion and by chat, and keeps the prompt that wins more."""

from __future__ import annotations

import functools
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autosurgeon.sections import Prompt

if TYPE_CHECKING:
    from autosurgeon.config import Settings
    from autosurgeon.core.task import Task

ASKED_TASKS = 16


def choose_prompt(named: str, folder: Path, text_of: Callable[[str], str], tasks: Mapping[str, Task]) -> str:
    """Return the `organ.prompt` to write; `auto` asks both ways where the checkpoint has a chat template.

    Args:
        named: completion, chat or auto.
        folder: the checkpoint's folder.
        text_of: returns the settings file's text with a prompt.
        tasks: all tasks; only tasks of surgery and dev are asked, since the others judge.

    Raises:
        UserError: the name is unknown, or the checkpoint has no chat template.
        WorldError: the capsule failed.

    """
    from typing import get_args

    from autosurgeon.cli.render import print_table, say
    from autosurgeon.config import Settings
    from autosurgeon.core.task import Split
    from autosurgeon.errors import UserError, nearest
    from autosurgeon.packs.chat_template import with_prompt
    from autosurgeon.sections import OrganSettings

    if named not in get_args(Prompt):
        raise UserError("there is no such prompt", got=named, wanted=nearest(named, get_args(Prompt)))
    possible = with_prompt(OrganSettings.model_validate({"prompt": named}), folder).prompt
    open_tasks = [task for task in tasks.values() if task.split in (Split.SURGERY, Split.DEV)]
    if named != "auto" or possible == "completion" or not open_tasks:
        return possible
    asked = open_tasks[:: max(1, len(open_tasks) // ASKED_TASKS)][:ASKED_TASKS]
    say(f"{len(asked)} tasks are asked by completion and by chat; `--prompt completion` or `chat` skips this")
    won = {}
    for prompt in ("completion", "chat"):
        settings = Settings.model_validate(tomllib.loads(text_of(prompt)))
        won[prompt] = _won(settings, folder, asked)
    print_table(
        "asked both ways", ("prompt", "won", "tasks"), [(name, count, len(asked)) for name, count in won.items()]
    )
    chosen = "chat" if won["chat"] > won["completion"] else "completion"
    say(f"organ.prompt is {chosen}")
    return chosen


def _won(settings: Settings, folder: Path, tasks: Sequence[Task]) -> int:
    """Return how many tasks the checkpoint wins, greedily; WorldError where a task cannot be graded."""
    import typer

    from autosurgeon.bench.grade import Grader
    from autosurgeon.cli.view import counting
    from autosurgeon.errors import UserError, WorldError
    from autosurgeon.loop.stages.generate_answers import Sampling
    from autosurgeon.wiring import folder_source, open_capsules

    with (
        tempfile.TemporaryDirectory() as home,
        open_capsules(settings, Path(home), report=functools.partial(typer.echo, err=True)) as capsules,
        Grader(settings.grading, benches=settings.benches) as grader,
        counting(f"answered by {settings.organ.prompt}") as show,
    ):
        if grader.level == "plain" and not settings.grading.allow_plain_jail:
            raise UserError(
                "no sandbox works on this machine for a model's programs",
                wanted="bubblewrap, or --prompt completion or chat to ask no tasks",
            )
        source = folder_source(settings, capsules, (folder.name, folder), Path(home) / "asked")
        answers = source.answer(tasks, Sampling(), show)
        submitted = [(task, answers.replies[task.task_id][0].text) for task in tasks]
        grades = list(grader.stream(submitted))
    broken = next((grade.detail for grade in grades if grade.verdict == "infra"), None)
    if broken is not None:
        raise WorldError(f"a task cannot be graded: {broken}; `--prompt completion` or `chat` asks no tasks")
    return sum(grade.verdict == "pass" for grade in grades)
