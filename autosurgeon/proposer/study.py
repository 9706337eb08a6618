"""Ask and tell over an in-memory Optuna study that is rebuilt from the store for every proposal.

So there is one memory and not two to reconcile, and a loop that was killed proposes what it would have proposed. A
refusal and a lost anchor are constraint violations, never low scores: a recipe that was refused says nothing of how
well it would have done, only that it may not be. A failure of the world says nothing of the recipe at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from autosurgeon.core.digest import digest_text
from autosurgeon.core.recipe import Quantization, Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.proposer.bounds import Bounds
from autosurgeon.sections import SearchSettings, Span

# A first pass that the incident's lessons would call careful: all fresh failures, as many anchors, one reading.
CAREFUL: dict[str, float] = {
    "poison_share": 1.0,
    "anchor_share": 1.0,
    "epochs": 1,
    "lr_ratio": 0.5,
    "rank": 8,
    "alpha_ratio": 2.0,
}


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

    def propose(self, history: Sequence[PassRecord]) -> Recipe:
        """The next recipe: the same for the same history, seed and bounds.

        Args:
            history: the passes to learn from, oldest first; the newest is the last one before the pass that is asked
                for, however many of the older ones are left out.

        """
        number = history[-1].number + 1 if history else 1
        seed = int(digest_text(f"{self._seed}:{number}")[:8], 16)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=self._search.random_passes)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([self._told(record) for record in history if record.feedback is not None])
        if not history:
            study.enqueue_trial(self._careful())
        return self._recipe(study.ask(), seed)

    def _careful(self) -> dict[str, float | str]:
        clipped: dict[str, float | str] = {"parent": self._bounds.parents[0]}
        for name, value in CAREFUL.items():
            span = self._bounds.spans[name]
            clipped[name] = min(max(value, span.low), span.high)
        clipped["epochs"] = int(clipped["epochs"])
        clipped["rank_exponent"] = int(math.log2(float(clipped.pop("rank"))))
        return clipped

    def _recipe(self, trial: Trial, seed: int) -> Recipe:
        spans = self._bounds.spans
        parent = trial.suggest_categorical("parent", self._bounds.parents)
        chosen = {name: trial.suggest_float(name, *_ends(spans[name])) for name in ("poison_share", "anchor_share")}
        low, high = _ends(spans["epochs"])
        epochs = trial.suggest_int("epochs", math.ceil(low), math.floor(high))
        lr_ratio = trial.suggest_float("lr_ratio", *_ends(spans["lr_ratio"]), log=True)
        low, high = _ends(spans["rank"])
        exponent = trial.suggest_int("rank_exponent", math.ceil(math.log2(low)), math.floor(math.log2(high)))
        return Recipe(
            parent="base" if parent == "base" else "live",
            poison_share=chosen["poison_share"],
            anchor_share=chosen["anchor_share"],
            epochs=epochs,
            lr=self._rate(lr_ratio),
            rank=2**exponent,
            alpha_ratio=trial.suggest_float("alpha_ratio", *_ends(spans["alpha_ratio"])),
            quantization=self._quantization,
            seed=seed,
        )

    def _rate(self, ratio: float) -> float:
        """The learning rate of a ratio, rounded so that dividing again stays within the bounds."""
        lr, span = ratio * self._reference_lr, self._bounds.spans["lr_ratio"]
        while lr / self._reference_lr > span.high:
            lr = math.nextafter(lr, 0)
        while lr / self._reference_lr < span.low:
            lr = math.nextafter(lr, math.inf)
        return lr

    def _told(self, record: PassRecord) -> FrozenTrial:
        """A past pass as a trial. Its distributions are today's, widened to hold what was tried then."""
        recipe, feedback = record.recipe, record.feedback
        assert feedback is not None  # passes without are left out
        values: dict[str, float] = {
            "poison_share": recipe.poison_share,
            "anchor_share": recipe.anchor_share,
            "lr_ratio": recipe.lr / self._reference_lr,
            "alpha_ratio": recipe.alpha_ratio,
        }
        distributions: dict[str, BaseDistribution] = {
            "parent": CategoricalDistribution(tuple(dict.fromkeys((*self._bounds.parents, recipe.parent)))),
            "epochs": _whole(self._bounds.spans["epochs"].low, self._bounds.spans["epochs"].high, recipe.epochs),
            "rank_exponent": _whole(
                math.log2(self._bounds.spans["rank"].low),
                math.log2(self._bounds.spans["rank"].high),
                round(math.log2(recipe.rank)),
            ),
        }
        for name, value in values.items():
            low, high = _ends(self._bounds.spans[name])
            distributions[name] = FloatDistribution(min(low, value), max(high, value), log=name == "lr_ratio")
        state = TrialState.PRUNED if feedback.value is None else TrialState.COMPLETE
        return create_trial(
            state=TrialState.FAIL if feedback.failed else state,
            value=None if feedback.failed else feedback.value,
            params={
                **values,
                "parent": recipe.parent,
                "epochs": recipe.epochs,
                "rank_exponent": round(math.log2(recipe.rank)),
            },
            distributions=distributions,
            constraints=dict(feedback.violations),
        )


def _ends(span: Span) -> tuple[float, float]:
    return span.low, span.high


def _whole(low: float, high: float, value: int) -> IntDistribution:
    return IntDistribution(min(math.ceil(low), value), max(math.floor(high), value))
