"""The levers, `[levers]`: what a pass may do so that it gains more, or is not lost whole.

Each is measured, alone and with the others, by `tests/benchmarks/ablations.py`; the defaults are those that paid there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from autosurgeon.sections import Section

Rung = Annotated[
    str, StringConstraints(pattern=r"^(checkpoints|scale:(0\.\d+|1)|lines:(0\.\d+|0)|average:[1-9]|intruders)$")
]


class LeverSettings(Section):
    """What a pass may do so that it gains more, or is not lost whole."""

    salvage: tuple[Rung, ...] = ("scale:0.8", "checkpoints", "scale:0.65", "scale:0.5", "scale:0.35")
    """What is tried, in this order, with an adapter that lost anchors in the smoke, until one loses none:
    `checkpoints`, its earlier states, the newest first; `scale:0.5`, its weights by that factor; `lines:0.3`, by a
    factor that rises from there in the first layer to 1 in the last; `average:2`, with the last two of the same parent
    that went live; `intruders`, without the singular directions that are new to the layer."""
    checkpoints_per_epoch: int = Field(2, ge=0, le=16)
    """States of a training that are kept as candidates: 2 keeps one every half epoch; 0 keeps the end alone."""
    kl_weight: float = Field(0, ge=0, allow_inf_nan=False)
    """Weight, in the loss, of the KL divergence from the parent on the anchor rows; in nats per nat."""
    measure_every_epochs: float = Field(0.25, gt=0, le=1)
    """How often a training is held against its parent, where a stop rule of the policy asks for it."""
    active_anchors: bool = True
    """Whether anchors that earlier candidates lost, or stand-ins for them, are the first contrast rows of a pass."""
    curriculum: Literal["none", "near"] = "none"
    """Which failures may be rows: all, or with `near` those in whose neighbourhood something is won, until all are."""
    family_weight: float = Field(0, ge=0, le=1)
    """How evenly the families of failures share the loss: 0 counts each row alike, 1 each family."""
    racing: bool = True
    """Whether the smoke begins with the most fragile anchors, in batches that grow, and a bench ends once it is
    hopeless."""
