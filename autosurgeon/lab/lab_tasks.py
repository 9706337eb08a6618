"""Tasks of the lab: every combination of a family's options, in three forms, with tests from running the reference.

Everything random is seeded, so the shipped benches can be generated again to the byte.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from autosurgeon.core.task import Case, Split, Task
from autosurgeon.lab.task_families import FAMILIES, Family, Option

Form = Literal["mbpp", "humaneval", "lcb"]
FORMS: tuple[Form, ...] = ("mbpp", "humaneval", "lcb")
CASES_PER_TASK = 8

WORDS = [
    "the",
    "apple",
    "banana",
    "bee",
    "cab",
    "tree",
    "boat",
    "above",
    "echo",
    "stone",
    "oak",
    "eagle",
    "book",
    "cable",
    "notable",
    "bone",
    "area",
    "dot",
    "moon",
    "noon",
    "kayak",
    "level",
    "issue",
    "bob",
    "olive",
    "bubble",
    "orange",
    "ace",
    "bat",
    "table",
    "ocean",
]


class Composition(NamedTuple):
    """One task without a form: a family and one option for each of its slots."""

    family: Family
    options: tuple[Option, Option, Option]

    @property
    def key(self) -> str:
        """The composition's unique name."""
        return "/".join((self.family.name, *(option.words for option in self.options)))

    @property
    def cluster(self) -> str:
        """The cluster of near relatives: the same family and the same first two options."""
        return "/".join((self.family.name, self.options[0].words, self.options[1].words))

    @property
    def rarity(self) -> int:
        """The number of its options that are rare in the base model's training."""
        return sum(option.rare for option in self.options)


def compositions() -> Iterator[Composition]:
    """Yield every distinct task of the lab, in a fixed order."""
    for family in FAMILIES:
        for options in itertools.product(*family.slots):
            yield Composition(family, options)


def prompt_of(composition: Composition, form: Form) -> str:
    """Return the prompt of a composition in one form."""
    family, options = composition
    verb = "print" if form == "lcb" else "return"
    words = family.sentence.format(*(option.words for option in options)).format(verb=verb)
    head = f"def solve({family.argument}):\n"
    if form == "humaneval":
        return f'{head}    """{words}"""\n'
    if form == "mbpp":
        return f"# Write a function solve({family.argument}): {words}.\n"
    return f"# Read from stdin {family.input_words}: {words}.\n"


def reference_of(composition: Composition, form: Form) -> str:
    """Return the completion that solves the composition in one form."""
    family, options = composition
    codes = [option.code for option in options]
    body = [line.format(*codes) for line in family.body]
    result = family.result.format(*codes)
    if form == "lcb":
        lines = [f"{family.argument} = {family.read}", *body, f"print({result})"]
        return "\n".join(lines) + "\n"
    indented = "".join(f"    {line}\n" for line in (*body, f"return {result}"))
    return indented if form == "humaneval" else f"def solve({family.argument}):\n{indented}"


def _input(family: Family, rng: random.Random) -> Any:
    if family.name == "lists":
        return [rng.choice((rng.randint(-9, 12), rng.randint(-60, 140))) for _ in range(rng.randint(4, 10))]
    if family.name == "strings":
        return " ".join(rng.choices(WORDS, k=rng.randint(4, 9)))
    if family.name == "integers":
        return rng.randint(3, 48)
    return rng.choices(WORDS, k=rng.randint(4, 9))


def _stdin(family: Family, value: Any) -> str:
    if family.name == "lists" or family.name == "dicts":
        return " ".join(str(item) for item in value) + "\n"
    return f"{value}\n"


def _cases(composition: Composition, form: Form, seed: str) -> tuple[Case, ...]:
    """Return cases with seeded inputs and the outputs of the reference, which is code of this project."""
    rng = random.Random(seed)
    scope: dict[str, Any] = {}
    exec(reference_of(composition, "mbpp"), scope)
    solve, family = scope["solve"], composition.family
    values = [_input(family, rng) for _ in range(CASES_PER_TASK)]
    if form == "lcb":
        return tuple(Case(given=_stdin(family, v), wanted=f"{solve(v)}\n") for v in values)
    return tuple(Case(given=repr((v,)), wanted=repr(solve(v))) for v in values)


def task_of(composition: Composition, form: Form, task_id: str, split: Split) -> Task:
    """Return a gradable task: the composition in one form, with its cases."""
    bench = task_id.split("/")[0]
    prompt = prompt_of(composition, form)
    return Task(
        task_id=task_id,
        bench=bench,
        kind="stdin" if form == "lcb" else "function",
        prompt=prompt,
        prelude=prompt if form == "humaneval" else "",
        entry_point=None if form == "lcb" else "solve",
        cases=_cases(composition, form, composition.key),
        reference=reference_of(composition, form),
        cluster=composition.cluster,
        split=split,
    )
