"""What the passes so far say of the search: which parameter matters, what was tried, and where nothing was refused."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

from autosurgeon.core.pass_states import PassState
from autosurgeon.core.records import PassRecord
from autosurgeon.core.value import Value
from autosurgeon.proposer.bounds import SPANS, Bounds
from autosurgeon.proposer.trials import constraints_of, params_of, trial_of
from autosurgeon.sections import SearchSettings, Span

NAMES = ("parent", *SPANS)
LEAST_OF_A_KIND = 5
"""Passes on either side of a line, below which an importance is a matter of luck; PED-ANOVA asks for as many."""
LEAST_SURE = 30
"""Passes below which an importance is a hint."""


class Tried(Value):
    """A pass, as the sampler is told of it."""

    number: int
    state: PassState
    climb: float | None
    """On dev, above the best before, in tasks."""
    refused: dict[str, float]
    """What objected, by how much."""
    spent_share: float | None
    params: dict[str, float | str]


class Range(Value):
    """Where one parameter was, by what came of it: the lowest and highest number, or how often each name."""

    name: str
    promoted: str
    not_refused: str
    refused: str


class Objection(Value):
    """How often a rule refused, and its largest size."""

    rule: str
    passes: int
    largest: float


class Review(Value):
    """All of it."""

    passes: int
    history: tuple[Tried, ...]
    climbing: dict[str, float] | None
    """By parameter, its share in what separates climbing passes from others; None if not computable."""
    not_refused: dict[str, float] | None
    """The same for those that nothing refused."""
    region: tuple[Range, ...]
    objections: tuple[Objection, ...]
    cannot_tell: tuple[str, ...]
    """What so few passes do not say, in words."""


def review(records: Sequence[PassRecord], search: SearchSettings, reference_lr: float) -> Review:
    """Look back on passes, oldest first.

    Args:
        records: the passes.
        search: the search in force; importances are over it, widened to hold what was tried.
        reference_lr: the rate that ratios are of.

    """
    told = [record for record in records if record.feedback is not None and not record.feedback.failed]
    bounds = holding(search, records, reference_lr)
    trials = [trial_of(record, bounds, reference_lr) for record in told]
    climbing, why_not_climbing = _of_climbing(trials)
    not_refused, why_not_refused = _of_refusals(trials)
    doubts = [why for why in (why_not_climbing, why_not_refused) if why]
    if not doubts and len(told) < LEAST_SURE:
        doubts.append(f"importances from {len(told)} passes are hints; {LEAST_SURE} say more")
    return Review(
        passes=len(records),
        history=tuple(_tried(record, reference_lr) for record in records),
        climbing=climbing,
        not_refused=not_refused,
        region=tuple(_range(name, told, reference_lr) for name in NAMES),
        objections=_objections(told),
        cannot_tell=tuple(doubts),
    )


def holding(search: SearchSettings, records: Sequence[PassRecord], reference_lr: float) -> Bounds:
    """The search, widened to hold every recipe of some passes: one space, in which they compare."""
    tried = [readable(record, reference_lr) for record in records]
    parents = dict.fromkeys((*search.parents, *(str(params["parent"]) for params in tried)))
    spans = {}
    for name in SPANS:
        span: Span = getattr(search, name)
        values = [float(params[name]) for params in tried if float(params[name]) > 0]
        spans[name] = Span(low=min([span.low, *values]), high=max([span.high, *values]))
    return Bounds(tuple(parents), spans)


def readable(record: PassRecord, reference_lr: float) -> dict[str, float | str]:
    """A pass's parameters by the names of the settings; a rank as the power of two that the search takes it for."""
    params = params_of(record.recipe, reference_lr)
    params["rank"] = 2 ** params["rank_exponent"]
    return {name: params[name] for name in NAMES}


def _of_climbing(trials: Sequence[FrozenTrial]) -> tuple[dict[str, float] | None, str]:
    known = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    dev_climb = sum((trial.value or 0) > 0 for trial in known)
    why = _too_few(dev_climb, len(known) - dev_climb, "dev_climb on dev", "were benched and did not climb")
    if why:
        return None, f"what makes a pass climb cannot be told yet: {why}"
    return _importances(known, [-(trial.value or 0.0) for trial in known], dev_climb, "what makes a pass climb")


def _of_refusals(trials: Sequence[FrozenTrial]) -> tuple[dict[str, float] | None, str]:
    sizes = [sum(trial.constraints.values()) for trial in trials]
    clean = sum(size == 0 for size in sizes)
    why = _too_few(clean, len(sizes) - clean, "were not refused", "were refused")
    if why:
        return None, f"what gets a recipe refused cannot be told yet: {why}"
    return _importances(trials, sizes, clean, "what gets a recipe refused")


def _too_few(good: int, bad: int, good_words: str, bad_words: str) -> str:
    if min(good, bad) >= LEAST_OF_A_KIND:
        return ""
    return f"{good} passes {good_words} and {bad} {bad_words}; {LEAST_OF_A_KIND} of either are wanted"


def _importances(
    trials: Sequence[FrozenTrial], losses: Sequence[float], good: int, what: str
) -> tuple[dict[str, float] | None, str]:
    """Each parameter's share in telling the best `good` trials from all, by PED-ANOVA; they sum to 1."""
    # Of what never changed nothing is known, not even that it does not matter.
    varied = [name for name in trials[0].params if len({trial.params[name] for trial in trials}) > 1]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    for trial, loss in zip(trials, losses, strict=True):
        study.add_trial(
            create_trial(state=TrialState.COMPLETE, value=loss, params=trial.params, distributions=trial.distributions)
        )
    evaluator = PedAnovaImportanceEvaluator(target_quantile=(good - 0.5) / len(trials))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of trials in spaces of their own, of which there are none here
        found = get_param_importances(study, evaluator=evaluator, params=varied, normalize=False)
    total = sum(found.values())
    if not total > 0 or not math.isfinite(total):
        return None, f"{what} cannot be told: the passes do not differ in what was searched"
    named = {"rank" if name == "rank_exponent" else name: share / total for name, share in found.items()}
    return dict(sorted(named.items(), key=lambda one: -one[1])), ""


def _tried(record: PassRecord, reference_lr: float) -> Tried:
    feedback = record.feedback
    return Tried(
        number=record.number,
        state=record.state,
        climb=feedback.value if feedback else None,
        refused=dict(feedback.violations) if feedback else {},
        spent_share=feedback.spent_share if feedback else None,
        params=readable(record, reference_lr),
    )


def _range(name: str, told: Sequence[PassRecord], reference_lr: float) -> Range:
    kinds: dict[str, list[Any]] = {"promoted": [], "not_refused": [], "refused": []}
    for record in told:
        value = readable(record, reference_lr)[name]
        assert record.feedback is not None  # passes without are left out
        kinds["refused" if constraints_of(record.feedback) else "not_refused"].append(value)
        if record.state == PassState.CONFIRMED:
            kinds["promoted"].append(value)
    return Range(name=name, **{kind: _span_of(values) for kind, values in kinds.items()})


def _span_of(values: Sequence[Any]) -> str:
    if not values:
        return ""
    if isinstance(values[0], str):
        return ", ".join(f"{name} {values.count(name)}" for name in sorted(set(values)))
    low, high = min(values), max(values)
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def _objections(told: Sequence[PassRecord]) -> tuple[Objection, ...]:
    sizes: dict[str, list[float]] = {}
    for record in told:
        for rule, size in (record.feedback.violations if record.feedback else {}).items():
            sizes.setdefault(rule, []).append(size)
    found = [Objection(rule=rule, passes=len(known), largest=max(known)) for rule, known in sizes.items()]
    return tuple(sorted(found, key=lambda one: (-one.passes, one.rule)))
