"""A small world for the loop: real store, packs, grader, policy and proposer; only the model is scripted."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import make_task, weights_file
from fakes import Knows, RecordingReporter, ScriptedCapsules
from graders import lasting_grader

from autosurgeon.audit import render_reports as render
from autosurgeon.bench import machine_sanity
from autosurgeon.config import Settings, shipped
from autosurgeon.core.recipe import Quantization
from autosurgeon.core.task import Split, Task
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.lab.dispatcher import Dispatcher
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.limits import Limits
from autosurgeon.packs.packstore import PackStore
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.schema import Policy
from autosurgeon.proposer.bounds import clip
from autosurgeon.proposer.sampler import Proposer
from autosurgeon.store.sqlstore import SqlStore

SIZES = {Split.SURGERY: 6, Split.DEV: 3, Split.GATE: 5, Split.CANARY: 4}


def small_world() -> dict[str, Task]:
    """Bench `b` with tasks in every split, and bench `leak`, whose prompts the dispatcher takes for planning."""
    tasks: dict[str, Task] = {}
    for split, size in SIZES.items():
        for number in range(size):
            task = make_task(
                f"b/{split.value}-{number}",
                split=split,
                prompt=f"# {split.value} {number}\n",
                # A program of its own, since one that stands in two splits is contamination.
                reference=f"def solve(x):\n    return x + {len(tasks)} - {len(tasks)}\n",
            )
            tasks[task.task_id] = task
    for number, split in enumerate((Split.SURGERY, Split.GATE)):
        task = make_task(
            f"leak/{number}",
            split=split,
            prompt=f"# read from stdin {number}\n",
            reference=f"def solve(x):\n    return x * {number + 2} // {number + 2}\n",
        )
        tasks[task.task_id] = task
    return tasks


def wide_world(gate: int = 40) -> dict[str, Task]:
    """The small world with a larger gate."""
    tasks = small_world()
    for number in range(10, 10 + gate):
        task_id = f"b/gate-{number}"
        reference = f"def solve(x):\n    return x * {number} // {number}\n"
        tasks[task_id] = make_task(task_id, split=Split.GATE, prompt=f"# gate {number}\n", reference=reference)
    return tasks


def first_half(task_id: str) -> bool:
    """What the base of the small world solves: the even-numbered tasks."""
    return int(task_id[-1]) % 2 == 0


def learns_everything(generation: int, task_id: str) -> bool:
    """The base solves half; whatever was trained solves all."""
    return generation > 0 or first_half(task_id)


def learns_most(generation: int, task_id: str) -> bool:
    """As `learns_everything`, but for one gate task, so that a pass after the first could still gain."""
    return learns_everything(generation, task_id) and (first_half(task_id) or task_id != "b/gate-3")


def learns_some(generation: int, task_id: str) -> bool:
    """The base solves half; whatever was trained solves some more, so that many gains are left."""
    return first_half(task_id) or (generation > 0 and task_id[-1] in "15")


def learns_once(generation: int, task_id: str) -> bool:
    """The first training is as good as `learns_most`; each later one fails an old win, and ends at its smoke."""
    return learns_most(generation, task_id) and not (generation > 1 and task_id == "b/gate-2")


class GainsTwoByLuck:
    """What was trained solves two gate tasks more when it is asked first, and not when it is asked again."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, generation: int, task_id: str) -> bool:
        self.asked[task_id] += generation > 0
        return first_half(task_id) or (task_id in ("b/gate-1", "b/gate-3") and self.asked[task_id] == 1)


def jobs_of(ins: Instruments) -> list[Value]:
    """The jobs that the scripted capsules were given, in order."""
    assert isinstance(ins.capsules, ScriptedCapsules)
    return ins.capsules.jobs


@functools.cache
def shipped_policy() -> Policy:
    """The policy that the product comes with, read once."""
    return load_policy(shipped("policies", "bd62.yaml"))


@contextlib.contextmanager
def without_pictures() -> Iterator[None]:
    """Half of a pass's time goes into its pictures and into references graded eight at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "plot_loss", lambda *_, **__: b"")
        patch.setattr(render, "plot_wins", lambda *_, **__: b"")
        patch.setattr(machine_sanity, "MOST", 1)
        yield


@contextlib.contextmanager
def small_theatre(
    root: Path,
    knows: Knows,
    *,
    before: Callable[[Value], None] = lambda job: None,
    passes: int = 1,
    tasks: dict[str, Task] | None = None,
    pictures: bool = False,
    **settings: Any,
) -> Iterator[Instruments]:
    """Instruments over the small world; the same root again is the same workspace, after a restart.

    Reports have their `pictures`, and benches all their references, only where that is asked for.
    """
    organ = root / "organ"
    if not organ.exists():
        organ.mkdir(parents=True)
        (organ / "model.safetensors").write_bytes(weights_file({"generation": ("BF16", (1,), b"\0\0")}))
        for name in ("config.json", "tokenizer.json"):
            (organ / name).write_text("{}")
    content: dict[str, Any] = {
        "organ": {"model": organ} | settings.pop("organ", {}),
        # Scripted answers are harmless, and a plain jail starts fastest.
        "grading": {"workers": 1, "jail": "plain"},
        "loop": {"min_free_mib": 0, "ballast_mib": 0},
    } | settings
    configured = Settings(**content)
    workspace, policy, tasks = Workspace(root), shipped_policy(), tasks or small_world()
    with (
        contextlib.closing(SqlStore(configured.store.url or workspace.database, create=True)) as store,
        contextlib.nullcontext() if pictures else without_pictures(),
    ):
        yield Instruments(
            settings=configured,
            workspace=workspace,
            policy=policy,
            tasks=tasks,
            store=store,
            packs=PackStore(workspace.packs),
            capsules=ScriptedCapsules(tasks, knows, before),
            grader=lasting_grader(configured.grading),
            dispatcher=Dispatcher(configured.lab.stdin_route),
            proposer=Proposer(
                clip(configured.search, policy),
                configured.search,
                seed=0,
                reference_lr=configured.organ.reference_lr,
                quantization=Quantization(configured.organ.quantization),
            ),
            reporter=RecordingReporter(),
            brakes=Limits(passes=passes, poll_s=0.02),
        )
