from __future__ import annotations

import random
from pathlib import Path

import optuna
import pytest
from builders import make_record
from hypothesis import given, settings
from hypothesis import strategies as st

from autosurgeon.core.pass_states import PassState
from autosurgeon.core.records import Feedback, PassRecord
from autosurgeon.errors import UserError
from autosurgeon.proposer.optuna_storage import export
from autosurgeon.proposer.review import NAMES, review
from autosurgeon.proposer.trials import COST, constraints_of
from autosurgeon.sections import SearchSettings

SEARCH, RATE = SearchSettings(), 2e-3


def campaign(count: int, seed: int = 0) -> list[PassRecord]:
    """Passes in which a high rate is refused, and more epochs climb higher."""
    dice, records = random.Random(seed), []
    for number in range(1, count + 1):
        ratio, epochs = dice.uniform(0.1, 1.5), dice.randint(1, 3)
        hot = {"anchor-wins-kept": 5 * (ratio - 0.8)} if ratio > 0.8 else {}
        feedback = Feedback(value=float(epochs == 3), violations=hot, spent_share=0.4 if hot else None)
        record = make_record(
            number,
            feedback=feedback,
            lr=ratio * RATE,
            epochs=epochs,
            rank=2 ** dice.randint(1, 4),
            poison_share=dice.uniform(0.5, 1),
            alpha_ratio=dice.uniform(1, 4),
        )
        state = PassState.REJECTED if hot else PassState.CONFIRMED if epochs == 3 else PassState.HELD
        records.append(record.model_copy(update={"state": state}))
    return records


@pytest.mark.parametrize("seed", range(3))
def test_the_parameter_that_decides_is_the_most_important_one(seed: int) -> None:
    found = review(campaign(80, seed), SEARCH, RATE)
    assert found.climbing is not None and found.not_refused is not None
    assert next(iter(found.climbing)) == "epochs"
    assert next(iter(found.not_refused)) == "lr_ratio"
    assert sum(found.climbing.values()) == pytest.approx(1)
    assert found.caveats == ()


def test_the_feasible_region_is_what_was_not_refused() -> None:
    found = review(campaign(80), SEARCH, RATE)
    (ratio,) = [one for one in found.region if one.name == "lr_ratio"]
    assert float(ratio.not_refused.split(" to ")[1]) <= 0.8 <= float(ratio.refused.split(" to ")[0])
    (epochs,) = [one for one in found.region if one.name == "epochs"]
    assert epochs.promoted == "3"
    (objection,) = found.objections
    assert objection.rule == "anchor-wins-kept"
    assert objection.passes == sum(tried.state == PassState.REJECTED for tried in found.history)


def test_a_review_of_few_passes_names_what_is_not_known() -> None:
    assert len(review([], SEARCH, RATE).caveats) == 2
    few = review(campaign(6), SEARCH, RATE)
    assert (few.climbing, few.not_refused) == (None, None)
    assert "is not known yet" in few.caveats[0]
    some = review(campaign(28), SEARCH, RATE)
    assert some.climbing is not None
    assert some.caveats == ("importances from 28 passes are hints; 30 passes are more reliable",)


def test_passes_without_differences_have_no_importances() -> None:
    records = [make_record(n, feedback=Feedback(value=float(n % 2))) for n in range(1, 41)]
    found = review(records, SEARCH, RATE)
    assert found.climbing is None
    assert "the passes do not differ" in found.caveats[0]


RECIPE_PARTS = st.fixed_dictionaries(
    {
        "parent": st.sampled_from(["base", "live"]),
        "anchor_share": st.floats(0, 4),
        "epochs": st.integers(1, 8),
        "lr": st.floats(1e-5, 1e-2),
        "rank": st.sampled_from([1, 3, 8, 24, 64]),
        "feedback": st.none()
        | st.builds(
            Feedback,
            value=st.none() | st.integers(0, 3).map(float),
            violations=st.dictionaries(st.just("a"), st.floats(0.1, 9), max_size=1),
            failed=st.booleans(),
        ),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.lists(RECIPE_PARTS, max_size=25))
def test_a_review_includes_every_pass(parts: list[dict[str, object]]) -> None:
    records = [make_record(n, **content) for n, content in enumerate(parts, start=1)]  # type: ignore[arg-type]
    found = review(records, SEARCH, RATE)
    assert [tried.number for tried in found.history] == [record.number for record in records]
    assert [one.name for one in found.region] == list(NAMES)
    for shares in (found.climbing, found.not_refused):
        assert shares is None or sum(shares.values()) == pytest.approx(1)


def test_the_cost_of_a_refusal_is_a_separate_constraint() -> None:
    assert constraints_of(Feedback(violations={"a": 2.0}, spent_share=0.4)) == {"a": 2.0, COST: 0.4}
    assert constraints_of(Feedback(violations={"a": 2.0}, spent_share=0.0)) == {"a": 2.0}
    assert constraints_of(Feedback(value=1.0, spent_share=0.4)) == {}


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_optuna_opens_an_export_with_the_same_trials(tmp_path: Path, kind: str) -> None:
    records = [*campaign(20), make_record(21, feedback=Feedback(failed=True)), make_record(22)]
    file = tmp_path / "study"
    target = f"sqlite:///{file}" if kind == "sqlite" else str(file)
    assert export(target, "night", records, SEARCH, RATE) == 21
    journal = optuna.storages.journal.JournalFileBackend(str(file))
    storage = target if kind == "sqlite" else optuna.storages.JournalStorage(journal)
    study = optuna.load_study(study_name="night", storage=storage)
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert len(study.trials) == 21
    for trial, record in zip(study.trials, records, strict=False):
        assert record.feedback is not None
        assert trial.value == record.feedback.value
        assert trial.constraints == constraints_of(record.feedback)
        assert trial.params["lr_ratio"] == pytest.approx(record.recipe.lr / RATE)
        assert (trial.params["parent"], trial.params["epochs"]) == (record.recipe.parent, record.recipe.epochs)
        assert trial.user_attrs["pass"] == record.number
    assert study.trials[20].state == optuna.trial.TrialState.FAIL
    assert {trial.distributions["lr_ratio"] for trial in study.trials} == {study.trials[0].distributions["lr_ratio"]}
    with pytest.raises(UserError, match="File exists"):
        export(target, "night", records, SEARCH, RATE)


def test_an_export_is_written_only_to_a_new_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exported into a file; got postgresql; wanted sqlite") as raised:
        export("postgresql://me:secret@host/db", "night", [], SEARCH, RATE)
    assert "secret" not in str(raised.value)
    with pytest.raises(UserError, match="cannot be exported"):
        export(f"sqlite:///{tmp_path}/nowhere/study.db", "night", [], SEARCH, RATE)
