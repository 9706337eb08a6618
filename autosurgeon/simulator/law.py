"""The law of the synthetic learner: how training on some rows moves what a model can do. Pure, and known.

What it is: every task has a *margin*; a greedy answer passes where it is above 0, up to a narrow edge that the batch
decides, and a sample passes the likelier the higher it is. Training moves margins towards each task's *ceiling*, fast
for a row, slower for its near relatives, its family and all others; and it takes from every margin, more the hotter and
longer it is (rate times epochs times the root of rank and alpha) and the fewer anchors stand beside the failures. Some
tasks are coins instead: every batch and every sample tosses them anew, whatever is trained.

It is calibrated by eye on what the lab's prototype measured in one to four epochs. There, failures alone lost 1, 4, 4
and 4 of 105 wins and gained 4, 14, 20 and 24 % of what was never trained on (here 0.4, 2.7, 3.8 and 6.8 of 119, and 7,
12, 19 and 24 %); with as many anchors 0, 0, 2 and 0, and 9, 17, 35 and 31 % (here 0.1 to 0.6, and 10, 18, 27 and 34 %);
hot ones lost 5, 20, 14 and 41 (here 13, 29, 44 and 58: it punishes heat more than the prototype did).

What it is not: a model of your model. Tasks forget independently of each other, anchors protect all alike, no recipe is
better at one family than at another, and nothing is said of layers, of rows' order or weights
(`levers.family_weight` does nothing here), or of texts. It ranks policies and settings by what they do with a learner
of this kind; how much a real one gains is measured on the real one.
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
"""Margins nearer to 0 than so are passed in one batch and failed in another."""
STEEPNESS = 1.2
"""Of the chance that a sample passes, over margin by temperature."""


class Trait(NamedTuple):
    """What is known of one task, and no model is told."""

    family: str
    cluster: str
    margin: float
    """Of the base."""
    ceiling: float
    """Where training on others can bring it."""
    coin: bool


class Dose(NamedTuple):
    """How hard a training was."""

    lr_ratio: float
    """Learning rate over the organ's reference rate."""
    epochs: float
    rank: int
    alpha_ratio: float

    @property
    def heat(self) -> float:
        """Of one epoch; 0.5 for half the reference rate at rank 8 and an alpha of twice the rank."""
        return self.lr_ratio * math.sqrt(self.rank / 8 * self.alpha_ratio / 2)

    @property
    def total(self) -> float:
        """Of all epochs."""
        return self.heat * self.epochs

    @property
    def loss_fraction(self) -> float:
        """The last loss over the first epoch's."""
        return math.exp(-0.16 * self.heat * max(0.0, self.epochs - 1))


def draw_traits(tasks: Mapping[str, Task], seed: int, flaky: float) -> dict[str, Trait]:
    """The traits of tasks, the same for the same seed; about half are easy, and the base solves most of those.

    Args:
        tasks: by id; near relatives share a cluster, and are easy or hard together.
        seed: of the draw.
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
        traits: of every task.
        margins: of the parent.
        rows: the tasks that were rows.
        anchors: how many of the rows are wins, for contrast.
        dose: how hard it was.
        noise: of this training alone.

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
    """Whether the model can do it in truth, which no coin says."""
    return not trait.coin and margin > 0


def pack_margins(margins: Sequence[float]) -> bytes:
    """Margins as bytes, eight each."""
    return struct.pack(f"<{len(margins)}d", *margins)


def unpack_margins(state: bytes) -> list[float]:
    """Margins from their bytes."""
    return list(struct.unpack(f"<{len(state) // 8}d", state))
