"""Ask-and-tell over an in-memory Optuna study, which is rebuilt from the store for every proposal.

The store is therefore the only state, and a loop that was killed makes the same proposal afterwards. A refusal and a
lost anchor are constraint violations and never low scores, because the score of a refused recipe is unknown. A failure
of the world carries no information about the recipe.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import optuna
from optuna.trial import Trial, TrialState

from autosurgeon.core.digest import digest_text
from autosurgeon.core.recipe import Quantization, Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.proposer.bounds import Bounds
from autosurgeon.proposer.recipe_distance import nearest
from autosurgeon.proposer.trials import ends, trial_of
from autosurgeon.sections import SearchSettings

# The first recipe: all current failures, as many anchors, and a learning rate at the limit of the incident's lessons.
# On the lab it gains several times as much as a lower rate and loses hardly more; the salvage ladder corrects a rate
# that is slightly too high, but not one that is too low.
FIRST: dict[str, float] = {
    "poison_share": 1.0,
    "anchor_share": 1.0,
    "epochs": 2,
    "lr_ratio": 1.0,
    "rank": 8,
    "alpha_ratio": 4.0,
}

MAX_DRAWS = 10
"""The largest number of recipes drawn for one proposal, if each is near a refused one."""
NEAR = "near-a-refused-recipe"
"""The sampler's constraint for a recipe near a refused one."""


class Proposal(NamedTuple):
    """A recipe to try, and the number of draws for it."""

    recipe: Recipe
    draws: int
    distance: float
    """The distance to the nearest refused recipe; infinite if there is none."""


class Proposer:
    """Proposes recipes within bounds."""

    def __init__(
        self, bounds: Bounds, search: SearchSettings, *, seed: int, reference_lr: float, quantization: Quantization
    ) -> None:
        self._bounds = bounds
        self._search = search
        self._seed = seed
        self._reference_lr = reference_lr
        self._quantization = quantization
        self._explores = False

    def within(self, bounds: Bounds) -> Proposer:
        """Return a proposer with other bounds that draws every second pass at random, to explore when gains stall."""
        other = copy.copy(self)
        other._bounds, other._explores = bounds, True
        return other

    def propose(self, history: Sequence[PassRecord]) -> Recipe:
        """Return the next recipe if no recipe was refused; see `draw`."""
        return self.draw(history).recipe

    def draw(
        self,
        history: Sequence[PassRecord],
        refused: Sequence[Recipe] = (),
        elsewhere: Sequence[PassRecord] = (),
        cap_rank: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    ) -> Proposal:
        """Return the next recipe: the same for the same arguments, seed and bounds.

        The sampler learns of a near-duplicate of a refused recipe as refused, and draws again. After MAX_DRAWS of them
        the result is the recipe that is farthest from all refused ones, with its distance.

        Args:
            history: the passes to learn from, oldest first; the newest precedes the pass to propose, older ones may be
                missing.
            refused: recipes that would be refused again.
            elsewhere: passes of other workspaces, to learn from as well.
            cap_rank: reduces the rank of a recipe to what its rows support.

        """
        number = history[-1].number + 1 if history else 1
        seed = int(digest_text(f"{self._seed}:{number}")[:8], 16)
        study = self._study(history, elsewhere, seed, number)
        drawn: list[tuple[float, Recipe]] = []
        while len(drawn) < MAX_DRAWS:
            trial = study.ask()
            recipe = cap_rank(self._recipe(trial, seed))
            drawn.append((nearest(recipe, refused), recipe))
            too_near = self._search.refused_distance - drawn[-1][0]
            if too_near <= 0:
                return Proposal(recipe, len(drawn), drawn[-1][0])
            trial.set_constraint(NEAR, too_near)
            study.tell(trial, state=TrialState.PRUNED)
        farthest, recipe = max(drawn, key=lambda one: one[0])
        return Proposal(recipe, len(drawn), farthest)

    def _study(
        self, history: Sequence[PassRecord], elsewhere: Sequence[PassRecord], seed: int, number: int
    ) -> optuna.Study:
        """Return the passes so far as a study for one proposal."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        at_random = sys.maxsize if self._explores and number % 2 else self._search.random_passes
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=at_random)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        ended = [record for record in (*elsewhere, *history) if record.feedback is not None]
        study.add_trials([trial_of(record, self._bounds, self._reference_lr) for record in ended])
        if not history and not elsewhere:
            study.enqueue_trial(self._first())
        return study

    def _first(self) -> dict[str, float | str]:
        clipped: dict[str, float | str] = {"parent": self._bounds.parents[0]}
        for name, value in FIRST.items():
            span = self._bounds.spans[name]
            clipped[name] = min(max(value, span.low), span.high)
        clipped["epochs"] = int(clipped["epochs"])
        clipped["rank_exponent"] = int(math.log2(float(clipped.pop("rank"))))
        return clipped

    def _recipe(self, trial: Trial, seed: int) -> Recipe:
        spans = self._bounds.spans
        parent = trial.suggest_categorical("parent", self._bounds.parents)
        chosen = {name: trial.suggest_float(name, *ends(spans[name])) for name in ("poison_share", "anchor_share")}
        low, high = ends(spans["epochs"])
        epochs = trial.suggest_int("epochs", math.ceil(low), math.floor(high))
        lr_ratio = trial.suggest_float("lr_ratio", *ends(spans["lr_ratio"]), log=True)
        low, high = ends(spans["rank"])
        exponent = trial.suggest_int("rank_exponent", math.ceil(math.log2(low)), math.floor(math.log2(high)))
        return Recipe(
            parent="base" if parent == "base" else "live",
            poison_share=chosen["poison_share"],
            anchor_share=chosen["anchor_share"],
            epochs=epochs,
            lr=self._rate(lr_ratio),
            rank=2**exponent,
            alpha_ratio=trial.suggest_float("alpha_ratio", *ends(spans["alpha_ratio"])),
            quantization=self._quantization,
            seed=seed,
        )

    def _rate(self, ratio: float) -> float:
        """Return the learning rate of a ratio, rounded so that its ratio stays within the bounds."""
        lr, span = ratio * self._reference_lr, self._bounds.spans["lr_ratio"]
        while lr / self._reference_lr > span.high:
            lr = math.nextafter(lr, 0)
        while lr / self._reference_lr < span.low:
            lr = math.nextafter(lr, math.inf)
        return lr
