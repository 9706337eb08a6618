"""Which rows a pass trains on. Pure: the same recipe, results and anchors give the same rows."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from autosurgeon.core.digest import digest_text
from autosurgeon.core.envelope import Envelope
from autosurgeon.core.recipe import Mix, Recipe
from autosurgeon.core.task import Split, Task
from autosurgeon.core.value import Value
from autosurgeon.errors import UserError

Why = Literal["poison", "anchor", "mastered"]


class Row(Value):
    """One training row: the model is taught the completion, and the rest says where it comes from."""

    prompt: str
    completion: str
    task_id: str
    bench: str
    split: str
    why: Why


class Dataset(Value):
    """The rows of a pass, in a fixed order."""

    rows: tuple[Row, ...]

    @property
    def jsonl(self) -> str:
        """The file that the capsule reads."""
        return "".join(row.model_dump_json() + "\n" for row in self.rows)

    @property
    def digest(self) -> str:
        """SHA-256 of that file."""
        return digest_text(self.jsonl)

    @property
    def anchor_ids(self) -> frozenset[str]:
        """Anchors that are trained on, and so are no test any more."""
        return frozenset(row.task_id for row in self.rows if row.why == "anchor")


def build_dataset(
    recipe: Recipe,
    tasks: Mapping[str, Task],
    parent: Mapping[str, Envelope],
    targets: Collection[str],
    anchors: Collection[str],
    history: Collection[str],
) -> Dataset:
    """Choose the rows of a pass.

    Args:
        recipe: shares, mix and seed.
        tasks: the tasks of the surgery split, by id; only those with a reference can be rows.
        parent: the parent's envelopes by task id.
        targets: benches whose failures may be trained on.
        anchors: ids of confirmed wins.
        history: ids that were ever poison, for the mix `union`.

    Raises:
        UserError: a task of another split is among the tasks; what is held out must never come this far.

    """
    _refuse_held_out(tasks.values())
    rng = random.Random(f"rows:{recipe.seed}")
    usable = {
        task_id for task_id, task in tasks.items() if task.reference and task.bench in targets and task_id in parent
    }
    failures = sorted(task_id for task_id in usable if not parent[task_id].passed)
    poison = set(_share(failures, recipe.poison_share, rng))
    wins = sorted(usable & set(anchors) - set(failures))
    contrast = set(_share(wins, min(1.0, recipe.anchor_share * len(poison) / max(1, len(wins))), rng))
    mastered: set[str] = set()
    if recipe.mix == Mix.UNION:
        poison |= usable & set(history) & set(failures)
        mastered = usable & set(history) - poison - contrast
    why: dict[str, Why] = {
        **dict.fromkeys(poison, "poison"),
        **dict.fromkeys(contrast, "anchor"),
        **dict.fromkeys(mastered, "mastered"),
    }
    return Dataset(rows=tuple(_row(tasks[task_id], why[task_id]) for task_id in sorted(why)))


def _refuse_held_out(tasks: Iterable[Task]) -> None:
    strays = sorted(task.task_id for task in tasks if task.split != Split.SURGERY)
    if strays:
        raise UserError(
            "held-out tasks were handed to the dataset",
            got=", ".join(strays[:3]) + (f" and {len(strays) - 3} more" if len(strays) > 3 else ""),
            wanted="tasks of the surgery split alone",
        )


def _share(ids: list[str], share: float, rng: random.Random) -> list[str]:
    """A random part of the ids, at least one where there is any and the share is above zero."""
    count = min(len(ids), max(1, round(share * len(ids)))) if share > 0 else 0
    return rng.sample(ids, count)


def _row(task: Task, why: Why) -> Row:
    assert task.reference is not None  # tasks without one were left out
    return Row(
        prompt=task.prompt,
        completion=task.reference,
        task_id=task.task_id,
        bench=task.bench,
        split=task.split.value,
        why=why,
    )
