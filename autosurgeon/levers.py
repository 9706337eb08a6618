"""The levers, `[levers]`: optional techniques that raise a pass's gain or save part of it.

`tests/benchmarks/ablations.py` measures each, alone and with the others; levers that gained there are on by default.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from autosurgeon.sections import Section

Rung = Annotated[
    str, StringConstraints(pattern=r"^(checkpoints|scale:(0\.\d+|1)|lines:(0\.\d+|0)|average:[1-9]|intruders)$")
]


class LeverSettings(Section):
    """Optional techniques that raise a pass's gain or save part of it."""

    salvage: tuple[Rung, ...] = ("scale:0.8", "checkpoints", "scale:0.65", "scale:0.5", "scale:0.35")
    """Variants of an adapter that lost anchors in the smoke, tried in this order until one holds: `checkpoints`, its
    earlier states, the newest first; `scale:0.5`, its weights times that factor; `lines:0.3`, times a factor that rises
    from this value in the first layer to 1 in the last; `average:2`, its mean with the last two of the same parent that
    went live; `intruders`, without the singular directions that are new to the layer."""
    checkpoints_per_epoch: int = Field(2, ge=0, le=16)
    """States per epoch that a training keeps as candidates: 2 keeps one every half epoch; 0 keeps only the end."""
    kl_weight: float = Field(0, ge=0, allow_inf_nan=False)
    """Weight, in the loss, of the KL divergence from the parent on the anchor rows; in nats per nat."""
    loss: Literal["plain", "masked", "dft"] = "plain"
    """What a token adds to the gradient: `plain`, its cross-entropy; `masked`, the same but nothing where the parent
    finds it too unlikely; `dft`, its cross-entropy times its probability."""
    mask_perplexity: float = Field(2.5, ge=1, allow_inf_nan=False)
    """Perplexity of a token under the parent, 1 over its probability, above which the loss `masked` ignores it."""
    measure_every_epochs: float = Field(0.25, gt=0, le=1)
    """Epochs between two comparisons of a training with its parent, where a stop rule of the policy needs them."""
    active_anchors: bool = True
    """Whether anchors that earlier candidates lost, or stand-ins for them, are the first contrast rows of a pass."""
    curriculum: Literal["none", "near"] = "none"
    """Failures that may be rows: all, or with `near` those with a won neighbour, until all are."""
    family_weight: float = Field(0, ge=0, le=1)
    """How evenly the families of failures share the loss: 0 counts each row alike, 1 each family."""
    racing: bool = True
    """Whether the smoke starts with the most fragile anchors, in growing batches, and a bench ends once a rule is
    certain to fail."""
