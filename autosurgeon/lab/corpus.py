"""The lab's fixed benches, and the pretraining rows of its base model, which never repeat a bench task."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from autosurgeon.core.task import Split, Task
from autosurgeon.lab.lab_tasks import FORMS, Composition, Form, compositions, prompt_of, reference_of, task_of

BENCH_SEED = 62
# The incident's sizes.
BENCHES: tuple[tuple[str, Form, int], ...] = (
    ("lab-mbpp", "mbpp", 100),
    ("lab-humaneval", "humaneval", 164),
    ("lab-lcb", "lcb", 50),
)
# Of a hundred bench tasks, the numbers with 0, 1 and 2 rare options.
RARITY_SHARES = (42, 42, 16)


class Row(NamedTuple):
    """One pretraining text: a prompt and its completion."""

    prompt: str
    completion: str


def bench_compositions() -> dict[str, list[Composition]]:
    """Return the compositions of each bench, drawn with a fixed seed; no composition is in two benches."""
    rng = random.Random(BENCH_SEED)
    pools: dict[tuple[str, int], list[Composition]] = {}
    for composition in compositions():
        pools.setdefault((composition.family.name, composition.rarity), []).append(composition)
    for pool in pools.values():
        rng.shuffle(pool)
    families = sorted({name for name, _ in pools})
    benches: dict[str, list[Composition]] = {}
    for bench, _, size in BENCHES:
        chosen = []
        for index in range(size):
            rarity = rng.choices((0, 1, 2), RARITY_SHARES)[0]
            chosen.append(pools[families[index % len(families)], rarity].pop())
        benches[bench] = chosen
    return benches


def bench_tasks(split_of: Callable[[str], Split]) -> list[Task]:
    """Return all tasks of the three benches, in bench order."""
    drawn = bench_compositions()
    return [
        task_of(composition, form, f"{bench}/{number}", split_of(composition.cluster))
        for bench, form, _ in BENCHES
        for number, composition in enumerate(drawn[bench])
    ]


def pretraining_rows(count: int, rare_share: float, seed: int) -> list[Row]:
    """Return `count` rows for the base model: common combinations, and a share of `rare_share` with one rare option."""
    rng = random.Random(seed)
    held_out = {composition.key for chosen in bench_compositions().values() for composition in chosen}
    common: list[Composition] = []
    rare: list[Composition] = []
    for composition in compositions():
        if composition.key not in held_out and composition.rarity < 2:
            (rare if composition.rarity else common).append(composition)
    rows = []
    for _ in range(count):
        composition = rng.choice(rare if rng.random() < rare_share else common)
        form = rng.choice(FORMS)
        rows.append(Row(prompt_of(composition, form), reference_of(composition, form)))
    return rows
