"""A proposal's rank is one that its rows bear, so that no pass is spent on a refusal that was known beforehand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from builders import make_recipe, weights_file
from theatre import first_half, small_theatre

from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.run_passes import run
from autosurgeon.loop.search.propose import propose_next
from autosurgeon.loop.search.rank_cap import cap_rank
from autosurgeon.loop.stages.choose_rows import rows_for
from autosurgeon.proposer.sampler import FIRST

MOST = 20_000  # of bd62.yaml's rule


def knows(generation: int, task_id: str) -> bool:
    return first_half(task_id)


def organ_of(root: Path, parameters: int) -> None:
    """A checkpoint whose adapter has so many parameters a rank."""
    organ = root / "organ"
    organ.mkdir()
    tensors: dict[str, Any] = {
        "generation": ("BF16", (1,), b"\0\0"),
        "q_proj.weight": ("BF16", (parameters - 1, 1), bytes(2 * (parameters - 1))),
    }
    (organ / "model.safetensors").write_bytes(weights_file(tensors))
    for name in ("config.json", "tokenizer.json"):
        (organ / name).write_text("{}")


def rows_of_first(root: Path) -> int:
    with small_theatre(root, knows) as ins:
        standing = read_baseline(ins)
        recipe = make_recipe(poison_share=1.0, anchor_share=1.0)
        return len(rows_for(ins, recipe, standing.live, standing, set(), {}).rows)


@pytest.fixture
def rows(tmp_path_factory: pytest.TempPathFactory) -> int:
    return rows_of_first(tmp_path_factory.mktemp("counted"))


@pytest.mark.parametrize(("borne", "rank"), [(100, 8), (8, 8), (7.9, 4), (2.5, 2), (1.01, 1), (0.2, 1)])
def test_a_rank_is_halved_until_the_rows_bear_it(tmp_path: Path, rows: int, borne: float, rank: int) -> None:
    organ_of(tmp_path, int(rows * MOST / borne))
    with small_theatre(tmp_path, knows) as ins:
        recipe = propose_next(ins, read_baseline(ins))
        assert (recipe.rank, recipe.poison_share, recipe.alpha_ratio) == (rank, 1.0, FIRST["alpha_ratio"])


def test_fewer_rows_bear_a_lower_rank(tmp_path: Path, rows: int) -> None:
    organ_of(tmp_path, int(rows * MOST / 8))
    with small_theatre(tmp_path, knows) as ins:
        fit = cap_rank(ins, read_baseline(ins), 1)
        some, many = (fit(make_recipe(rank=8, poison_share=share, anchor_share=1.0)).rank for share in (0.5, 1.0))
        assert (some, many) == (4, 8)


def test_a_span_that_is_set_keeps_its_low_end_and_a_run_ends_where_no_rows_bear_it(tmp_path: Path, rows: int) -> None:
    organ_of(tmp_path, int(rows * MOST / 2))
    with small_theatre(tmp_path, knows, search={"rank": {"low": 8, "high": 8}}) as ins:
        assert propose_next(ins, read_baseline(ins)).rank == 8
        assert run(ins) == "hopeless"
        last = ins.store.last_run()
        assert last is not None
        assert "an adapter of rank 8 has" in (last.end_detail or "")
        assert "capacity-for-the-rows" in (last.end_detail or "")
        assert ins.store.passes() == []


def test_without_such_a_rule_no_rank_is_touched(tmp_path: Path, rows: int) -> None:
    organ_of(tmp_path, rows * MOST)
    with small_theatre(tmp_path, knows) as ins:
        rules = tuple(rule for rule in ins.policy.rules if rule.fact != "recipe.parameters_per_row")
        ins = dataclasses.replace(ins, policy=ins.policy.model_copy(update={"rules": rules}))
        assert propose_next(ins, read_baseline(ins)).rank == FIRST["rank"]
