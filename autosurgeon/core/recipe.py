"""A recipe: everything that a pass tries, and nothing about how it went."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from autosurgeon.core.value import Value


class Mix(StrEnum):
    """Which rows a pass trains on."""

    POISON = "poison"
    """Fresh failures of the parent, and the chosen share of anchors."""
    UNION = "union"
    """Every row that was ever poison, mastered or not: the BD6.2 mistake, kept so that a policy can refuse it."""


class Quantization(StrEnum):
    """How the frozen base is held during training."""

    NONE = "none"
    NF4 = "nf4"


MergeBase = Literal["original", "dequantized"]
"""What an adapter that was trained on a quantized base is merged into: the base's own weights, or those it saw."""


class Recipe(Value):
    """What a pass tries."""

    parent: Literal["base", "live"] = "live"
    """The pack that is trained on."""
    mix: Mix = Mix.POISON
    poison_share: float = Field(1.0, gt=0, le=1)
    """Of the parent's fresh failures, how many become rows."""
    anchor_share: float = Field(0.5, ge=0, le=4)
    """Anchor rows per poison row."""
    epochs: int = Field(1, ge=1, le=100)
    lr: float = Field(gt=0, lt=1, allow_inf_nan=False)
    rank: int = Field(8, ge=1, le=1024)
    alpha_ratio: float = Field(2.0, gt=0, le=64)
    """LoRA alpha over rank."""
    quantization: Quantization = Quantization.NONE
    seed: int = Field(0, ge=0)
