"""The law of the synthetic learner: how training on rows changes the tasks that a model solves. Pure.

Every task has a *margin*. A greedy answer passes where it is above 0, except near 0, where the batch decides; the
chance of a sample grows with it. Training moves margins towards each task's *ceiling*, fast for a row, slower for its
near relatives, its family and all others. It also lowers every margin, more for hotter and longer training (rate times
epochs times the root of rank and alpha) and for fewer anchors beside the failures. Some tasks are coins instead: every
batch and every sample draws them anew, whatever is trained.

It is calibrated by eye on the lab's prototype, measured in one to four epochs. There, failures alone lost 1, 4, 4
and 4 of 105 wins and gained 4, 14, 20 and 24 % of what was never trained on (here 0.4, 2.7, 3.8 and 6.8 of 119, and 7,
12, 19 and 24 %); with as many anchors 0, 0, 2 and 0, and 9, 17, 35 and 31 % (here 0.1 to 0.6, and 10, 18, 27 and 34 %);
hot ones lost 5, 20, 14 and 41 (here 13, 29, 44 and 58: it punishes heat more than the prototype did).

It is no model of a real model. Tasks are forgotten independently of each other, anchors protect all tasks alike, no
recipe favours one family, and layers, texts, and the order and weights of rows play no part (`levers.family_weight`
has no effect). It ranks policies and settings by their effect on such a learner; the gain of a real model must be
measured on that model.
"""

from __future__ import annotations

import math
import random
import struct
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from autosurgeon.core.task import Task

EASY_SHARE = 0.5
ROW_CEILING = 3.0
EDGE = 0.05
"""Tasks with margins nearer to 0 pass in some batches and fail in others."""
STEEPNESS = 1.2
"""The slope of a sample's chance over margin by temperature."""


class Trait(NamedTuple):
    """The traits of one task, hidden from the loop."""

    family: str
    cluster: str
    margin: float
    """The margin of the base."""
    ceiling: float
    """The highest margin that training on other tasks can reach."""
    coin: bool


class Dose(NamedTuple):
    """The intensity of a training."""

    lr_ratio: float
    """The learning rate over the organ's reference rate."""
    epochs: float
    rank: int
    alpha_ratio: float

    @property
    def heat(self) -> float:
        """The heat of one epoch; 0.5 for half the reference rate at rank 8 and an alpha of twice the rank."""
        return self.lr_ratio * math.sqrt(self.rank / 8 * self.alpha_ratio / 2)

    @property
    def total(self) -> float:
        """The heat of all epochs."""
        return self.heat * self.epochs

    @property
    def loss_fraction(self) -> float:
        """The last loss over the mean loss of the first epoch."""
        return math.exp(-0.16 * self.heat * max(0.0, self.epochs - 1))


def draw_traits(tasks: Mapping[str, Task], seed: int, flaky: float) -> dict[str, Trait]:
    """The traits of tasks, deterministic by the seed; about half are easy, and the base solves most of those.

    Args:
        tasks: the tasks by id; those of one cluster are easy or hard together.
        seed: the seed of the draw.
        flaky: the share of coins.

    """
    coins = set(random.Random(f"coins:{seed}").sample(sorted(tasks), round(flaky * len(tasks))))
    traits = {}
    for task_id, task in tasks.items():
        own = random.Random(f"trait:{seed}:{task_id}")
        easy = random.Random(f"cluster:{seed}:{task.cluster}").random() < EASY_SHARE
        margin = own.gauss(2.2, 2.2) if easy else own.gauss(-2.2, 1.0)
        ceiling = max(margin, own.gauss(2.5, 1.0)) if easy else own.gauss(0.8, 1.2)
        family = task.cluster.split("/")[0].split(":")[0]
        traits[task_id] = Trait(family, task.cluster, margin, ceiling, task_id in coins)
    return traits


def trained(
    traits: Mapping[str, Trait],
    margins: Sequence[float],
    rows: Collection[str],
    anchors: int,
    dose: Dose,
    noise: random.Random,
) -> list[float]:
    """The margins after a training, in the order of the traits.

    Args:
        traits: the traits of every task.
        margins: the margins of the parent.
        rows: the tasks that were rows.
        anchors: the number of rows that are wins.
        dose: the intensity of the training.
        noise: the random source of this training.

    """
    families = Counter(traits[row].family for row in rows)
    clusters = Counter(traits[row].cluster for row in rows)
    share = anchors / max(1, len(rows) - anchors)
    forgets = 0.45 * dose.total**0.9 * (1 - 0.7 * (1 - math.exp(-3 * share)))
    reached = 0.0 if not rows else dose.total**0.8
    after = []
    for (task_id, trait), margin in zip(traits.items(), margins, strict=True):
        known = task_id in rows
        speed = 0.25 + 0.35 * min(1.0, families[trait.family] / 10) + 0.4 * min(1.0, clusters[trait.cluster] / 2)
        ceiling = max(trait.ceiling, ROW_CEILING) if known else trait.ceiling
        gain = max(0.0, ceiling - margin) * (1 - math.exp(-(2.0 if known else speed) * reached))
        loss = forgets * noise.expovariate(1.0) * (0.2 if known else 1.0)
        after.append(margin + gain - loss)
    return after


def sample_chance(trait: Trait, margin: float, temperature: float) -> float:
    """The chance that one sample passes."""
    return 0.5 if trait.coin else 1 / (1 + math.exp(-max(-60.0, min(60.0, STEEPNESS * margin / temperature))))


def is_won(trait: Trait, margin: float) -> bool:
    """Whether the model truly solves the task; never true for a coin."""
    return not trait.coin and margin > 0


def pack_margins(margins: Sequence[float]) -> bytes:
    """Margins as bytes, eight each."""
    return struct.pack(f"<{len(margins)}d", *margins)


def unpack_margins(state: bytes) -> list[float]:
    """Margins from their bytes."""
    return list(struct.unpack(f"<{len(state) // 8}d", state))
