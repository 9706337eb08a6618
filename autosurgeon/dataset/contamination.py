"""Training rows held against every task that must stay held out, to find those that are one, told again.

Pure, and a step of its own: it sees the held-out tasks and can add no row. Five layers, from certain to suspicious:

- `program`: the row's program is the reference, whatever its names, comments, docstrings, annotations and layout;
- `prompt`: the prompts are the same words;
- `family`: the row's task is of the same cluster, so the splits are broken;
- `10-gram`: at least half of the held-out task's 10-grams stand in the row;
- `minhash`: the programs or the prompts are alike, Jaccard 0.7 or more over shingles.

The first three name a *twin*, which must stop a pass; the last two name what is *near*, for a person to look at.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from autosurgeon.core.task import Task
from autosurgeon.core.training_data import TWIN_LAYERS, Hit, Layer, Row
from autosurgeon.dataset.program import Program
from autosurgeon.dataset.similarity import Neighbours, Overlap, Shingles, shingles

NEAR_LAYERS: frozenset[Layer] = frozenset({"10-gram", "minhash"})

GRAM = 10
GRAM_SHARE = 0.5
PROGRAM_SHINGLE = 4
PROMPT_SHINGLE = 2
SIMILARITY = 0.7

WORD = re.compile(r"\w+")
WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")
SIGN_OF_MEANING = re.compile(r"\w+|[^\w\s#\"'`.,;:!?]")
"""Of a prompt: a comment mark, a quote or a full stop says nothing, a bracket does (HumanEval/56 and 61)."""


class _Text(NamedTuple):
    """A prompt and a program as the layers compare them."""

    keys: frozenset[str]
    prompt: str
    grams: Shingles
    program_shingles: Shingles
    prompt_shingles: Shingles


def _text(prompt: str, before: str, code: str, *, held_out: bool) -> _Text:
    """Normalise one text.

    Args:
        prompt: the prompt.
        before: what may have to stand before the code to make it a program.
        code: the reference or completion.
        held_out: whether the text is a held-out task's.

    """
    programs = _programs(before, code, held_out=held_out) if code else []
    words = WORD.findall(prompt.casefold())
    return _Text(
        keys=frozenset(program.key for program in programs if program.key),
        prompt=" ".join(SIGN_OF_MEANING.findall(prompt.casefold())),
        grams=shingles(WORD_OR_SIGN.findall(f"{prompt}\n{code}".casefold()), GRAM),
        program_shingles=shingles(programs[0].words, PROGRAM_SHINGLE) if programs else frozenset(),
        prompt_shingles=shingles(words, PROMPT_SHINGLE),
    )


def _programs(before: str, code: str, *, held_out: bool) -> list[Program]:
    """What the code may be taken for, the likeliest first: a program after the prompt, or one by itself."""
    whole = Program(before + code)
    alone = Program(code) if before.strip() else whole
    if not whole.parses:
        return [alone]
    # A body without its head says little (`return f(x)`), so it is compared only where a row has lost its head.
    return [whole] if alone.is_body and not held_out else [whole, alone]


class HeldOut:
    """The held-out tasks, indexed once for every layer."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks: dict[str, Task] = {}
        self._by_program: dict[str, list[str]] = defaultdict(list)
        self._by_prompt: dict[str, list[str]] = defaultdict(list)
        self._by_cluster: dict[str, list[str]] = defaultdict(list)
        self._overlap, self._programs, self._prompts = Overlap(), Neighbours(), Neighbours()
        self._known: dict[tuple[str, str, str | None], dict[Layer, dict[str, float]]] = {}
        for task in tasks:
            self._add(task)

    def _add(self, task: Task) -> None:
        name = task.task_id
        text = _text(task.prompt, task.prelude, task.reference or "", held_out=True)
        self._tasks[name] = task
        self._by_cluster[task.cluster].append(name)
        self._by_prompt[text.prompt].append(name)
        for key in text.keys:
            self._by_program[key].append(name)
        self._overlap.add(name, text.grams)
        self._programs.add(name, text.program_shingles)
        self._prompts.add(name, text.prompt_shingles)

    def hits(self, row: Row, cluster: str | None) -> list[Hit]:
        """Every twin of a row and, for each layer of likeness, the nearest task."""
        return [
            Hit(
                layer=layer,
                row=row.task_id,
                held_out=name,
                bench=self._tasks[name].bench,
                split=self._tasks[name].split.value,
                similarity=similarity,
            )
            for layer, names in self._found(row, cluster).items()
            for name, similarity in sorted((names if layer in TWIN_LAYERS else _nearest(names)).items())
        ]

    def relatives(self, row: Row) -> tuple[set[str], set[str]]:
        """Every task that a row is a twin of, and every one that it is like."""
        found = self._found(row, None)
        twins, near = (set().union(*(found[layer] for layer in layers)) for layers in (TWIN_LAYERS, NEAR_LAYERS))
        return twins, near - twins

    def _found(self, row: Row, cluster: str | None) -> dict[Layer, dict[str, float]]:
        """By layer, every task that it names, with the similarity; looked for once, since rows come again each pass."""
        key = (row.prompt, row.completion, cluster)
        if key not in self._known:
            self._known[key] = self._looked_for(row, cluster)
        return self._known[key]

    def _looked_for(self, row: Row, cluster: str | None) -> dict[Layer, dict[str, float]]:
        text = _text(row.prompt, row.prompt, row.completion, held_out=False)
        alike = self._programs.near(text.program_shingles, SIMILARITY)
        for name, similarity in self._prompts.near(text.prompt_shingles, SIMILARITY).items():
            alike[name] = max(similarity, alike.get(name, 0.0))
        return {
            "program": {name: 1.0 for key in text.keys for name in self._by_program.get(key, ())},
            "prompt": dict.fromkeys(self._by_prompt.get(text.prompt, ()) if text.prompt else (), 1.0),
            "family": dict.fromkeys(self._by_cluster.get(cluster, ()) if cluster is not None else (), 1.0),
            "10-gram": self._overlap.found_in(text.grams, GRAM_SHARE),
            "minhash": alike,
        }


@functools.lru_cache(maxsize=1)
def _index(tasks: tuple[Task, ...]) -> HeldOut:
    """The index of some tasks, kept: the passes of a run hold their rows against the same ones."""
    return HeldOut(tasks)


def _nearest(found: dict[str, float]) -> dict[str, float]:
    """The most alike alone, the first by name of several."""
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:1])


def find_hits(rows: Sequence[Row], clusters: Mapping[str, str], held_out: Iterable[Task]) -> tuple[Hit, ...]:
    """Hold rows against held-out tasks; what stands out, in the rows' order.

    Args:
        rows: what a pass would train on.
        clusters: the cluster of each row's task, by task id.
        held_out: the tasks of every split but surgery, of every bench.

    """
    index = _index(tuple(held_out))
    return tuple(hit for row in rows for hit in index.hits(row, clusters.get(row.task_id)))
