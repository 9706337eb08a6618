"""A recipe: everything that a pass tries, without its results."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from autosurgeon.core.value import Value


class Mix(StrEnum):
    """The rows that a pass trains on."""

    POISON = "poison"
    """The parent's current failures and the chosen share of anchors."""
    UNION = "union"
    """Every row that was ever poison, mastered or not: the BD6.2 mistake, kept so that a policy can refuse it."""


class Quantization(StrEnum):
    """The format of the frozen base during training."""

    NONE = "none"
    NF4 = "nf4"


MergeBase = Literal["original", "dequantized"]
"""The weights that an adapter of a quantized base is merged into: the original ones, or the dequantized ones."""

Loss = Literal["plain", "masked", "dft"]
"""The training loss: cross-entropy, cross-entropy without unlikely tokens, or dynamic fine-tuning."""


class Recipe(Value):
    """The settings of one pass."""

    parent: Literal["base", "live"] = "live"
    """The pack that training starts from."""
    mix: Mix = Mix.POISON
    poison_share: float = Field(1.0, gt=0, le=1)
    """The share of the parent's current failures that become rows."""
    anchor_share: float = Field(0.5, ge=0, le=4)
    """Anchor rows per poison row."""
    epochs: int = Field(1, ge=1, le=100)
    lr: float = Field(gt=0, lt=1, allow_inf_nan=False)
    rank: int = Field(8, ge=1, le=1024)
    alpha_ratio: float = Field(2.0, gt=0, le=64)
    """LoRA alpha over rank."""
    quantization: Quantization = Quantization.NONE
    seed: int = Field(0, ge=0)
