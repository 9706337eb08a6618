"""The next proposal: nothing near what was refused on the same packs, wider on a plateau."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import make_recipe, make_record
from fakes import RecordingReporter
from theatre import first_half, learns_everything, small_theatre

from autosurgeon.core.decision import Decision
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.records import Feedback
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.engine.fingerprint import contract_of
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import run
from autosurgeon.loop.search.plateau import flat_passes, read_plateau
from autosurgeon.loop.search.propose import propose_next, refused_here
from autosurgeon.proposer.recipe_distance import nearest
from autosurgeon.store.database import utc_now


def learns_nothing(generation: int, task_id: str) -> bool:
    return first_half(task_id)


def output_of(ins: Instruments) -> str:
    assert isinstance(ins.reporter, RecordingReporter)
    return "\n".join(ins.reporter.lines)


def refuse(ins: Instruments, *, live: str, feedback: Feedback | None = None, **changes: Any) -> None:
    """A pass that ended as REJECTED."""
    state = changes.pop("state", PassState.REJECTED)
    contract = contract_of(ins.settings, ins.policy, ins.tasks)
    contract = contract.model_copy(update=changes.pop("contract", {}))
    number = ins.store.begin_pass(make_recipe(**changes), changes.pop("on", live), live, contract)
    decision = Decision(
        decision_id=f"d-{number}", pass_number=number, judgement=None, action="stop", reason="", at=utc_now()
    )
    ins.store.decide(decision, state=state, feedback=feedback or Feedback(violations={"r": 1.0}))


def test_a_refused_recipe_is_not_tried_again_on_the_same_packs_and_the_run_reports_it(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_nothing) as ins:
        live = read_baseline(ins).live
        again = propose_next(ins, read_baseline(ins))
        refuse(ins, live=live, **again.model_dump(exclude={"seed"}))
        refused = refused_here(ins, ins.store.passes())
        assert {recipe.parent for recipe in refused} == {"base", "live"}  # one pack by two names
        near = ins.proposer.propose(ins.store.passes())
        refuse(ins, live=live, **near.model_dump(exclude={"seed"}))
        refuse(ins, live=live, **ins.proposer.propose(ins.store.passes()).model_dump(exclude={"seed"}))
        proposed = propose_next(ins, read_baseline(ins))
        assert nearest(proposed, refused_here(ins, ins.store.passes())) >= ins.settings.search.refused_distance
        assert propose_next(ins, read_baseline(ins)) == proposed


def test_what_was_refused_on_other_packs_by_another_policy_or_by_the_world_may_be_tried(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_nothing) as ins:
        live = read_baseline(ins).live
        refuse(ins, live="another pack")
        refuse(ins, live=live, contract={"policy": "another"})
        refuse(ins, live=live, contract={"tasks": "others"})
        refuse(ins, live=live, state=PassState.HELD)
        assert refused_here(ins, ins.store.passes()) == []
        refuse(ins, live=live)
        assert len(refused_here(ins, ins.store.passes())) == 2


def test_where_every_draw_is_near_a_refused_recipe_the_run_reports_that_it_tries_one_all_the_same(
    tmp_path: Path,
) -> None:
    point = {"low": 1, "high": 1}
    search = {"parents": ["live"], "rank": {"low": 8, "high": 8}, "lr_ratio": {"low": 0.5, "high": 0.51}}
    search |= dict.fromkeys(("poison_share", "anchor_share", "epochs", "alpha_ratio"), point)
    with small_theatre(tmp_path, learns_nothing, search=search) as ins:
        refuse(ins, live=read_baseline(ins).live, **propose_next(ins, read_baseline(ins)).model_dump(exclude={"seed"}))
        propose_next(ins, read_baseline(ins))
        assert "each of 10 recipes drawn is near a refused one; the farthest is tried" in output_of(ins)


def test_a_plateau_ends_the_run_by_its_own_reason_and_by_a_setting(tmp_path: Path) -> None:
    loop = {"min_free_mib": 0, "ballast_mib": 0, "on_plateau": "end", "plateau_passes": 2}
    with small_theatre(tmp_path, learns_nothing, passes=9, loop=loop) as ins:
        assert run(ins) == "plateau"
        assert len(ins.store.passes()) == 2
        plateau = read_plateau(ins.store, ins.settings.loop)
        assert plateau == {"flat": 2, "passes": 2, "reached": True, "then": "end", "widened": 0}
    # Another start allows so many more passes.
    with small_theatre(tmp_path, learns_nothing, passes=9, loop=loop) as ins:
        assert run(ins) == "plateau"
        assert len(ins.store.passes()) == 4


def test_a_plateau_widens_the_search_until_there_is_a_step_ahead(tmp_path: Path) -> None:
    loop = {"min_free_mib": 0, "ballast_mib": 0, "on_plateau": "widen", "plateau_passes": 2}
    lr = {"low": 0.5, "high": 0.6}
    with small_theatre(tmp_path, learns_nothing, passes=5, loop=loop, search={"lr_ratio": lr}) as ins:
        assert run(ins) == "passes"
        assert "plateau: 2 passes in a row" in output_of(ins)
        assert "the search is widened twice" in output_of(ins)
        ratios = [record.recipe.lr / ins.settings.organ.reference_lr for record in ins.store.passes()]
        assert all(0.5 <= ratio <= 0.6 for ratio in ratios[:2])
        assert any(not 0.5 <= ratio <= 0.6 for ratio in ratios[2:])
    with small_theatre(tmp_path, learns_everything, passes=1, loop=loop, search={"lr_ratio": lr}) as ins:
        refuse(ins, live=read_baseline(ins).live, feedback=Feedback(value=2.0))
        assert read_plateau(ins.store, ins.settings.loop)["widened"] == 0


@pytest.mark.parametrize(
    ("ends", "flat"),
    [
        ([], 0),
        ([(PassState.CONFIRMED, 3.0), (PassState.REJECTED, None), (PassState.HELD, 0.0)], 2),
        ([(PassState.REJECTED, None), (PassState.FAILED, None), (PassState.SUPERSEDED, None)], 1),
        ([(PassState.REJECTED, 0.0), (PassState.REJECTED, 1.0), (PassState.REVERTED, 0.0)], 1),
        ([(PassState.REJECTED, None), (PassState.PLANNED, None)], 1),
    ],
)
def test_flat_is_counted_from_the_last_step_ahead_over_passes_that_say_something(
    ends: list[tuple[PassState, float | None]], flat: int
) -> None:
    records = [
        make_record(n, feedback=Feedback(value=v)).model_copy(update={"state": s}) for n, (s, v) in enumerate(ends)
    ]
    assert flat_passes(records) == flat
