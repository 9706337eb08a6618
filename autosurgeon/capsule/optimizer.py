"""Optimizers by name; those of 8 bits by bitsandbytes."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from autosurgeon.core.jobs import Optimizer


def make_optimizer(name: Optimizer, weights: Iterable[torch.nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """AdamW without weight decay, its state in FP32 or in 8 bits, paged out to the host where that is asked for."""
    parameters = list(weights)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0, fused=parameters[0].is_cuda)
    import bitsandbytes

    kind = bitsandbytes.optim.PagedAdamW8bit if name == "paged_adamw_8bit" else bitsandbytes.optim.AdamW8bit
    optimizer: torch.optim.Optimizer = kind(parameters, lr=lr, weight_decay=0.0)
    return optimizer
