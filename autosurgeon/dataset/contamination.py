"""Contamination check: compare training rows with every held-out task, to find rows that repeat one.

The check is pure and separate: it sees the held-out tasks and cannot add rows. Its five layers, from certain to
suspicious, are:

- `program`: the row's program is the reference, up to names, comments, docstrings, annotations and layout;
- `prompt`: the prompts have the same words;
- `family`: the row's task is in the same cluster, so the splits are broken;
- `10-gram`: the row contains at least half of the held-out task's 10-grams;
- `minhash`: the programs or the prompts are similar, with a Jaccard similarity of at least 0.7 over shingles.

The first three find *twins*, which must stop a pass; the last two find *near* tasks, for a person to inspect.
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
"""Significant signs of a prompt: brackets are (HumanEval/56 and 61), comment marks, quotes and full stops are not."""


class _Text(NamedTuple):
    """A prompt and a program in the forms that the layers compare."""

    keys: frozenset[str]
    prompt: str
    grams: Shingles
    program_shingles: Shingles
    prompt_shingles: Shingles


def _text(prompt: str, before: str, code: str, *, held_out: bool) -> _Text:
    """Normalise one text.

    Args:
        prompt: the prompt.
        before: text that may have to precede the code to complete the program.
        code: the reference or completion.
        held_out: whether the text is that of a held-out task.

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
    """Return the possible programs of the code, the most likely first: after the prompt, or by itself."""
    whole = Program(before + code)
    alone = Program(code) if before.strip() else whole
    if not whole.parses:
        return [alone]
    # A body without its head is not specific (`return f(x)`), so it is compared only if a row has no head.
    return [whole] if alone.is_body and not held_out else [whole, alone]


class HeldOut:
    """The held-out tasks, indexed for every layer."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks: dict[str, Task] = {}
        self._by_program: dict[str, list[str]] = defaultdict(list)
        self._by_prompt: dict[str, list[str]] = defaultdict(list)
        self._by_cluster: dict[str, list[str]] = defaultdict(list)
        self._overlap, self._programs, self._prompts = Overlap(), Neighbours(), Neighbours()
        self._cache: dict[tuple[str, str, str | None], dict[Layer, dict[str, float]]] = {}
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
        """Return every twin of a row and, for each layer of similarity, the nearest task."""
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
        """Return the twins of a row and its near tasks."""
        found = self._found(row, None)
        twins, near = (set().union(*(found[layer] for layer in layers)) for layers in (TWIN_LAYERS, NEAR_LAYERS))
        return twins, near - twins

    def _found(self, row: Row, cluster: str | None) -> dict[Layer, dict[str, float]]:
        """Return the tasks that each layer finds, with their similarity; cached, because rows recur in each pass."""
        key = (row.prompt, row.completion, cluster)
        if key not in self._cache:
            self._cache[key] = self._search(row, cluster)
        return self._cache[key]

    def _search(self, row: Row, cluster: str | None) -> dict[Layer, dict[str, float]]:
        text = _text(row.prompt, row.prompt, row.completion, held_out=False)
        similar = self._programs.near(text.program_shingles, SIMILARITY)
        for name, similarity in self._prompts.near(text.prompt_shingles, SIMILARITY).items():
            similar[name] = max(similarity, similar.get(name, 0.0))
        return {
            "program": {name: 1.0 for key in text.keys for name in self._by_program.get(key, ())},
            "prompt": dict.fromkeys(self._by_prompt.get(text.prompt, ()) if text.prompt else (), 1.0),
            "family": dict.fromkeys(self._by_cluster.get(cluster, ()) if cluster is not None else (), 1.0),
            "10-gram": self._overlap.found_in(text.grams, GRAM_SHARE),
            "minhash": similar,
        }


@functools.lru_cache(maxsize=1)
def _index(tasks: tuple[Task, ...]) -> HeldOut:
    """Return the index of some tasks; cached, because all passes of a run use the same held-out tasks."""
    return HeldOut(tasks)


def _nearest(found: dict[str, float]) -> dict[str, float]:
    """Return only the most similar task, the first by name if there are several."""
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:1])


def find_hits(rows: Sequence[Row], clusters: Mapping[str, str], held_out: Iterable[Task]) -> tuple[Hit, ...]:
    """Compare rows with held-out tasks, and return the hits in the rows' order.

    Args:
        rows: the training rows of a pass.
        clusters: the cluster of each row's task, by task id.
        held_out: the tasks of every split except surgery, of every bench.

    """
    index = _index(tuple(held_out))
    return tuple(hit for row in rows for hit in index.hits(row, clusters.get(row.task_id)))
