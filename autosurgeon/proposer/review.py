"""A review of the search so far: the importance of parameters, the history, and the region without refusals."""

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
MIN_PER_SIDE = 5
"""The passes on either side of a threshold below which an importance is random; PED-ANOVA needs as many."""
MIN_RELIABLE = 30
"""The passes below which an importance is only a hint."""


class Tried(Value):
    """A pass, as the sampler sees it."""

    number: int
    state: PassState
    climb: float | None
    """The gain on dev above the best before, in tasks."""
    refused: dict[str, float]
    """The violation of each rule that refused."""
    spent_share: float | None
    params: dict[str, float | str]


class Range(Value):
    """The values of one parameter by outcome: the lowest and highest number, or the count of each name."""

    name: str
    promoted: str
    not_refused: str
    refused: str


class Objection(Value):
    """The number of passes that a rule refused, and its largest violation."""

    rule: str
    passes: int
    largest: float


class Review(Value):
    """The whole review."""

    passes: int
    history: tuple[Tried, ...]
    climbing: dict[str, float] | None
    """By parameter, its importance for climbing on dev; None if it cannot be estimated."""
    not_refused: dict[str, float] | None
    """By parameter, its importance for not being refused; None if it cannot be estimated."""
    region: tuple[Range, ...]
    objections: tuple[Objection, ...]
    caveats: tuple[str, ...]
    """What the passes do not show yet."""


def review(records: Sequence[PassRecord], search: SearchSettings, reference_lr: float) -> Review:
    """Review passes, oldest first.

    Args:
        records: the passes.
        search: the current search; importances are over it, extended to contain what was tried.
        reference_lr: the learning rate of ratio 1.

    """
    informative = [record for record in records if record.feedback is not None and not record.feedback.failed]
    bounds = containing(search, records, reference_lr)
    trials = [trial_of(record, bounds, reference_lr) for record in informative]
    climbing, why_not_climbing = _of_climbing(trials)
    not_refused, why_not_refused = _of_refusals(trials)
    doubts = [why for why in (why_not_climbing, why_not_refused) if why]
    if not doubts and len(informative) < MIN_RELIABLE:
        doubts.append(f"importances from {len(informative)} passes are hints; {MIN_RELIABLE} passes are more reliable")
    return Review(
        passes=len(records),
        history=tuple(_tried(record, reference_lr) for record in records),
        climbing=climbing,
        not_refused=not_refused,
        region=tuple(_range(name, informative, reference_lr) for name in NAMES),
        objections=_objections(informative),
        caveats=tuple(doubts),
    )


def containing(search: SearchSettings, records: Sequence[PassRecord], reference_lr: float) -> Bounds:
    """Return the search extended to contain every recipe of some passes, so that all are in one space."""
    tried = [readable(record, reference_lr) for record in records]
    parents = dict.fromkeys((*search.parents, *(str(params["parent"]) for params in tried)))
    spans = {}
    for name in SPANS:
        span: Span = getattr(search, name)
        values = [float(params[name]) for params in tried if float(params[name]) > 0]
        spans[name] = Span(low=min([span.low, *values]), high=max([span.high, *values]))
    return Bounds(tuple(parents), spans)


def readable(record: PassRecord, reference_lr: float) -> dict[str, float | str]:
    """Return a pass's parameters by the names of the settings; a rank as the nearest power of two."""
    params = params_of(record.recipe, reference_lr)
    params["rank"] = 2 ** params["rank_exponent"]
    return {name: params[name] for name in NAMES}


def _of_climbing(trials: Sequence[FrozenTrial]) -> tuple[dict[str, float] | None, str]:
    known = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    climbed = sum((trial.value or 0) > 0 for trial in known)
    why = _too_few(climbed, len(known) - climbed, "climbed on dev", "were benched and did not climb")
    if why:
        return None, f"what makes a pass climb is not known yet: {why}"
    return _importances(known, [-(trial.value or 0.0) for trial in known], climbed, "what makes a pass climb")


def _of_refusals(trials: Sequence[FrozenTrial]) -> tuple[dict[str, float] | None, str]:
    sizes = [sum(trial.constraints.values()) for trial in trials]
    clean = sum(size == 0 for size in sizes)
    why = _too_few(clean, len(sizes) - clean, "were not refused", "were refused")
    if why:
        return None, f"what gets a recipe refused is not known yet: {why}"
    return _importances(trials, sizes, clean, "what gets a recipe refused")


def _too_few(good: int, bad: int, good_words: str, bad_words: str) -> str:
    if min(good, bad) >= MIN_PER_SIDE:
        return ""
    return f"{good} passes {good_words} and {bad} {bad_words}; {MIN_PER_SIDE} of each are needed"


def _importances(
    trials: Sequence[FrozenTrial], losses: Sequence[float], good: int, what: str
) -> tuple[dict[str, float] | None, str]:
    """Return each parameter's importance for being among the best `good` trials, by PED-ANOVA; they sum to 1."""
    # A parameter that never varied has no known importance, not even 0.
    varied = [name for name in trials[0].params if len({trial.params[name] for trial in trials}) > 1]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    for trial, loss in zip(trials, losses, strict=True):
        study.add_trial(
            create_trial(state=TrialState.COMPLETE, value=loss, params=trial.params, distributions=trial.distributions)
        )
    evaluator = PedAnovaImportanceEvaluator(target_quantile=(good - 0.5) / len(trials))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they concern trials in different spaces, and all are in one space here
        found = get_param_importances(study, evaluator=evaluator, params=varied, normalize=False)
    total = sum(found.values())
    if not total > 0 or not math.isfinite(total):
        return None, f"{what} is not known: the passes do not differ in the searched parameters"
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


def _range(name: str, informative: Sequence[PassRecord], reference_lr: float) -> Range:
    kinds: dict[str, list[Any]] = {"promoted": [], "not_refused": [], "refused": []}
    for record in informative:
        value = readable(record, reference_lr)[name]
        assert record.feedback is not None  # passes without feedback are excluded
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


def _objections(informative: Sequence[PassRecord]) -> tuple[Objection, ...]:
    sizes: dict[str, list[float]] = {}
    for record in informative:
        for rule, size in (record.feedback.violations if record.feedback else {}).items():
            sizes.setdefault(rule, []).append(size)
    found = [Objection(rule=rule, passes=len(known), largest=max(known)) for rule, known in sizes.items()]
    return tuple(sorted(found, key=lambda one: (-one.passes, one.rule)))
