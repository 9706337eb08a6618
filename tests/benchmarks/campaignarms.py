"""Who takes part in the campaign benchmark: ways to run the loop, each by its settings, its policy and who proposes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from autosurgeon.config import Settings
from autosurgeon.core.digest import digest_text
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.recipe import Mix, Recipe
from autosurgeon.core.records import Feedback, PassRecord
from autosurgeon.core.task import Split
from autosurgeon.incident.scenario import HOT_LR_RATIO
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.proposer.sampler import Proposal

HERE = Path(__file__).resolve().parent
GUARDS = ("smoke", "confirm", "watch", "anchors")
"""First words of stages that only a guard needs; an arm without one is not charged for them."""


class Arm(NamedTuple):
    """A way to run the loop."""

    name: str
    about: str
    """In words."""
    policy: Path | None = None
    """The shipped one when empty."""
    changes: Mapping[str, Mapping[str, Any]] = {}
    """Settings by section that differ from the shipped ones."""
    proposer: Callable[[Instruments], Any] | None = None
    """Makes who proposes; the product's own when empty."""
    guarded: bool = True

    def settings(self, seed: int) -> Settings:
        """The settings of one campaign."""
        changed: dict[str, Any] = {name: dict(section) for name, section in self.changes.items()}
        # A campaign ends by its tokens alone, so that arms compare.
        changed["loop"] = {"stuck_passes": 0} | changed.get("loop", {})
        return Settings.model_validate({**changed, "seed": seed, "policy": self.policy})

    def armed(self, ins: Instruments) -> Instruments:
        """The instruments with this arm's proposer in them."""
        return ins if self.proposer is None else replace(ins, proposer=self.proposer(ins))

    def is_charged(self, stage: str) -> bool:
        """Whether the arm's budget pays for a stage."""
        return self.guarded or not stage.startswith(GUARDS)


class OneRecipe:
    """Proposes the incident's recipe, whatever came of it."""

    def __init__(self, ins: Instruments) -> None:
        self._reference_lr, self._seed = ins.settings.organ.reference_lr, ins.settings.seed

    def within(self, bounds: object) -> OneRecipe:
        """The same: it looks at no bounds."""
        return self

    def draw(self, history: Sequence[PassRecord], *ignored: object) -> Proposal:
        """All that ever failed, four readings, rank 16, hot."""
        number = history[-1].number + 1 if history else 1
        recipe = Recipe(
            mix=Mix.UNION,
            anchor_share=0.0,
            epochs=4,
            lr=HOT_LR_RATIO * self._reference_lr,
            rank=16,
            seed=int(digest_text(f"{self._seed}:{number}")[:8], 16),
        )
        return Proposal(recipe, 1, float("inf"))


def empty_history(ins: Instruments) -> tuple[PassRecord, ...]:
    """A pass of another workspace without feedback, so that a proposer leaves out the product's first recipe."""
    record = PassRecord(
        number=1,
        state=PassState.FAILED,
        verdict=None,
        reason="",
        recipe=Recipe(lr=ins.settings.organ.reference_lr),
        parent="",
        live_before="",
        pack=None,
        feedback=None,
        contract=None,
        started_at="",
        ended_at=None,
    )
    return (record,)


class TotalWins:
    """The product's proposer, with feedback on all wins of each candidate and of nothing else, as plain tuning does."""

    def __init__(self, ins: Instruments) -> None:
        self._inner, self._ins = ins.proposer, ins

    def within(self, bounds: object) -> TotalWins:
        """The same: it never widens."""
        return self

    def draw(self, history: Sequence[PassRecord], *ignored: object) -> Proposal:
        """The next by the sampler."""
        return self._inner.draw([self._with_wins(record) for record in history], (), empty_history(self._ins))

    def _with_wins(self, record: PassRecord) -> PassRecord:
        if record.pack is None:
            return record
        passed = self._ins.store.passed(record.pack)
        wins = sum(won for task, won in passed.items() if self._ins.tasks[task].split != Split.CANARY)
        return record.model_copy(update={"feedback": Feedback(value=float(wins))})


class AtRandom:
    """The product's search space, drawn from blindly, the first pass too."""

    def __init__(self, ins: Instruments) -> None:
        self._inner = ins.proposer
        self._elsewhere = empty_history(ins)

    def within(self, bounds: object) -> AtRandom:
        """The same: it never widens."""
        return self

    def draw(self, history: Sequence[PassRecord], *ignored: object) -> Proposal:
        """The next, whatever came of the others."""
        return self._inner.draw(history, (), self._elsewhere)


WIDE: Mapping[str, Any] = {
    "poison_share": {"low": 0.5, "high": 1.0},
    "anchor_share": {"low": 0.25, "high": 1.0},
    "lr_ratio": {"low": 0.1, "high": 1.5},
    "rank": {"low": 2, "high": 16},
    "alpha_ratio": {"low": 1, "high": 4},
    "refused_distance": 0.0,
}
"""What one would search who had not measured this lab."""
AT_RANDOM: Mapping[str, Any] = {**WIDE, "random_passes": 1 << 20, "remembered_newest": 1 << 20}
ARMS = (
    Arm("a incident", "the incident's recipe, every pass", HERE / "unguarded.yaml", {}, OneRecipe, guarded=False),
    Arm(
        "b greedy",
        "random recipes, live where the total rises",
        HERE / "greedy.yaml",
        {"search": AT_RANDOM},
        AtRandom,
        guarded=False,
    ),
    Arm(
        "c optuna",
        "TPE on all wins, each pass from base, the best so far is live",
        HERE / "greedy.yaml",
        {"search": {**WIDE, "parents": ("base",)}},
        TotalWins,
        guarded=False,
    ),
    Arm("d random", "random recipes, the shipped policy", None, {"search": AT_RANDOM}, AtRandom),
    Arm("e product", "as shipped"),
)
