"""Training ends when it diverges too far from its parent; without such a stop rule nothing is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from test_capsule_measures import HOT, PROBE, trained, write_rows

from autosurgeon.capsule.divergence import score_batch
from autosurgeon.capsule.loss_meter import LossMeter
from autosurgeon.core.jobs import TrainResult
from autosurgeon.core.stop_rule import StopRule

FACTS = ["training.kl", "training.kl_anchors", "training.anchor_loss_rise"]


def stop(fact: str, at_most: float, rule_id: str = "too-far") -> StopRule:
    return StopRule.model_validate({"rule_id": rule_id, "fact": fact, "at_most": at_most})


def observed(result: TrainResult, fact: str) -> float:
    before, after = result.anchor_loss_before, result.anchor_loss_after
    assert before is not None
    assert after is not None
    found = {"training.kl": result.kl_poison, "training.kl_anchors": result.kl_anchors}.get(fact, after - before)
    assert found is not None
    return found


@pytest.mark.parametrize("fact", FACTS)
def test_a_training_that_diverges_too_far_ends_early_with_its_adapter(tmp_path: Path, fact: str) -> None:
    whole = trained(tmp_path / "whole", **HOT)
    bound = observed(whole, fact) / 2
    ended = trained(tmp_path / "ended", stop_rules=(stop(fact, bound),), measure_every_epochs=0.5, **HOT)
    assert ended.stopped_by == "too-far"
    assert 0 < ended.epochs < whole.epochs
    assert observed(ended, fact) > bound  # the same few rows are measured at the end
    assert (tmp_path / "ended" / "adapter" / "adapter_model.safetensors").is_file()
    # Two steps per epoch: training ends after the first step past the bound, with an adapter of the whole training.
    saved = trained(tmp_path / "saved", checkpoints_per_epoch=2, **HOT).checkpoints[ended.steps - 1]
    adapters = [tmp_path / "ended" / "adapter", tmp_path / "saved" / saved.adapter]
    assert len({(folder / "adapter_model.safetensors").read_bytes() for folder in adapters}) == 1


def test_a_bound_that_is_not_passed_changes_nothing(tmp_path: Path) -> None:
    plain = trained(tmp_path / "plain")
    watched = trained(tmp_path / "watched", stop_rules=tuple(stop(fact, 1e9) for fact in FACTS))
    assert watched == plain
    assert watched.stopped_by is None
    weights = [(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("plain", "watched")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def measured_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each batch that is compared with the parent during training."""
    found: list[int] = []

    def spy(a: Any, b: Any, batch: Any) -> Any:
        found.append(len(batch))
        return score_batch(a, b, batch)

    monkeypatch.setattr("autosurgeon.capsule.parent.score_batch", spy)
    return found


def test_only_the_facts_of_stop_rules_are_measured_during_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measured_rows(monkeypatch)
    floor = StopRule(rule_id="floor", fact="training.loss", at_least=0.0)
    trained(tmp_path / "loss", stop_rules=(floor,))
    assert found == []
    trained(tmp_path / "poison", stop_rules=(stop("training.kl", 1e9),), measure_every_epochs=0.5)
    assert sum(found) == 6  # once before the end, on the poison
    trained(tmp_path / "often", stop_rules=(stop("training.kl", 1e9),), measure_every_epochs=0.001, epochs=3)
    assert sum(found) == 6 + 5 * 6  # after each step but the last


def test_at_most_32_rows_are_measured_during_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured_rows(monkeypatch)
    probe = write_rows(tmp_path / "many.jsonl", list(PROBE) * 5)
    trained(
        tmp_path / "pass",
        probe=probe,
        stop_rules=(stop("training.anchor_loss_rise", 1e9),),
        measure_every_epochs=1,
        epochs=2,
    )
    assert sum(found) == 32


def test_a_stop_rule_without_rows_to_measure_does_not_end_training(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "anchors.jsonl", PROBE[:4], why="anchor")
    result = trained(tmp_path / "pass", rows=rows, probe=None, stop_rules=tuple(stop(fact, -1.0) for fact in FACTS))
    assert result.stopped_by is None


def test_the_first_passed_rule_is_named_for_any_fact() -> None:
    meter = LossMeter(steps_per_epoch=1)
    meter.add(1.0)
    floor = StopRule(rule_id="floor", fact="training.loss", at_least=2.0)
    far = stop("training.kl", 0.1)
    assert meter.broken_rule((far, floor), {"training.kl": 0.2}) == "too-far"
    assert meter.broken_rule((far, floor), {"training.kl": 0.1}) == "floor", "on the bound is not past it"
    assert meter.broken_rule((far, floor), {"training.kl": None}) == "floor"
    assert meter.broken_rule((far,), {}) is None


@pytest.mark.parametrize("bounds", [{}, {"at_least": 0.1, "at_most": 0.2}])
def test_a_stop_rule_has_exactly_one_bound(bounds: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="exactly one bound"):
        StopRule.model_validate({"rule_id": "r", "fact": "training.kl", **bounds})
