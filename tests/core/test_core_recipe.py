from __future__ import annotations

import math
from typing import Any

import pytest
from builders import make_recipe
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autosurgeon.core.pack import Lineage, Manifest, PackedFile
from autosurgeon.core.recipe import Mix, Recipe


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": 0},
        {"lr": 1},
        {"lr": math.nan},
        {"lr": -1e-4},
        {"poison_share": 0},
        {"poison_share": 1.1},
        {"anchor_share": -0.1},
        {"anchor_share": 4.1},
        {"epochs": 0},
        {"epochs": 101},
        {"epochs": 1.5},
        {"rank": 0},
        {"rank": 1025},
        {"alpha_ratio": 0},
        {"alpha_ratio": 65},
        {"seed": -1},
        {"parent": "live2"},
        {"mix": "all"},
        {"quantization": "int8"},
        {"warmup": 3},
    ],
)
def test_a_recipe_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make_recipe(**wrong)


def test_a_recipe_has_no_default_learning_rate() -> None:
    with pytest.raises(ValidationError, match="lr"):
        Recipe.model_validate({})


def test_a_recipe_cannot_be_changed() -> None:
    recipe = make_recipe()
    with pytest.raises(ValidationError, match="frozen"):
        recipe.epochs = 4  # type: ignore[misc]


def test_a_recipe_trains_on_poison_alone_by_default() -> None:
    assert make_recipe().mix == Mix.POISON


@given(lr=st.floats(1e-9, 0.5), alpha_ratio=st.floats(0.01, 64), share=st.floats(0.001, 1))
def test_a_recipe_survives_json_and_keeps_its_pack_name(lr: float, alpha_ratio: float, share: float) -> None:
    recipe = make_recipe(lr=lr, alpha_ratio=alpha_ratio, poison_share=share)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    manifest = Manifest(files={"a": PackedFile(sha256="0", bytes=1)}, lineage=Lineage(recipe=recipe))
    assert Manifest.model_validate_json(manifest.model_dump_json()).digest == manifest.digest


def test_a_pack_of_another_lineage_has_another_name() -> None:
    files = {"a": PackedFile(sha256="0", bytes=1)}
    names = {Manifest(files=files, lineage=Lineage(parent=parent)).digest for parent in (None, "x", "y")}
    assert len(names) == 3
