"""The incident's story, with a scripted model: what is reported, and where live ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from theatre import first_half, learns_everything, small_theatre

from autosurgeon.audit.delta import render_delta
from autosurgeon.core.pass_states import PassState
from autosurgeon.errors import UserError
from autosurgeon.incident.scenario import run_bd62
from autosurgeon.loop.run_passes import run


def forgets_the_easy_half(generation: int, task_id: str) -> bool:
    """The first training learns everything, every later one forgets what the base knew."""
    if generation == 0:
        return first_half(task_id)
    return generation == 1 or not first_half(task_id)


def test_the_overtrained_pass_is_measured_refused_on_paper_and_reverted(tmp_path: Path) -> None:
    with small_theatre(tmp_path, forgets_the_easy_half) as ins:
        delta = run_bd62(ins)
        first, second = ins.store.passes()
        assert (first.state, second.state) == (PassState.CONFIRMED, PassState.REVERTED)
        live = ins.store.live()
        assert live is not None
        assert live.pack == first.pack == delta.live_pack
        assert set(delta.second.lost) == {t for t in ins.tasks if t.startswith("b/") and first_half(t)}
        assert delta.refusal is not None
        assert (delta.refusal.phase, delta.refusal.rule.rule_id) == ("proposal", "poison-only")
        assert {r.phase for r in delta.second.refusals} == {"proposal", "training", "smoke", "promotion", "watch"}


def test_a_second_pass_that_does_no_harm_is_reported_as_such_and_live_still_ends_on_the_first(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        delta = run_bd62(ins)
        assert delta.second.lost == ()
        assert delta.live_pack == delta.first.pack
        assert "no regression in total" in render_delta(delta)


def test_the_report_has_the_sections_of_the_incidents_own_and_names_every_lost_task(tmp_path: Path) -> None:
    with small_theatre(tmp_path, forgets_the_easy_half) as ins:
        delta = run_bd62(ins)
    report = render_delta(delta)
    for section in ("Pipeline", "Numbers", "Constraints", "What went wrong", "Lessons", "Production state", "Files"):
        assert f"\n## {section}" in report
    assert all(f"- {task_id} " in report or f"- {task_id}:" in report for task_id in delta.second.lost)
    assert "| pass 2 as it was |" in report
    assert str(tmp_path) not in report


def test_the_story_needs_a_beginning(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        with pytest.raises(UserError, match="workspace without passes"):
            run_bd62(ins)


def test_a_workspace_of_another_organ_is_refused(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
    weights = tmp_path / "organ" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with (
        small_theatre(tmp_path, learns_everything) as ins,
        pytest.raises(UserError, match="begun with another organ"),
    ):
        run(ins)
