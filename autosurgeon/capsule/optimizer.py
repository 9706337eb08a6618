"""Optimizers by name, those of 8 bits by bitsandbytes, and their state as tensors and numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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


def _weights(optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    (group,) = optimizer.param_groups
    weights: list[torch.nn.Parameter] = group["params"]
    return weights


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """All that the optimizer remembers, by the weight's place and the value's name; a number is a tensor of none."""
    return {
        f"{place}.{name}": torch.as_tensor(value).detach().cpu().contiguous()
        for place, weight in enumerate(_weights(optimizer))
        for name, value in optimizer.state[weight].items()
        if not name.startswith("qmap")  # one table for all weights, the same in every run
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, torch.Tensor]) -> None:
    """Let a fresh optimizer remember what `optimizer_state` gave; its rate is the caller's to set."""
    by_place: dict[int, dict[str, Any]] = {}
    for key, value in state.items():
        place, _, what = key.partition(".")
        by_place.setdefault(int(place), {})[what] = value
    if isinstance(optimizer, torch.optim.AdamW):
        optimizer.load_state_dict({"state": by_place, "param_groups": optimizer.state_dict()["param_groups"]})
        return
    bits: Any = optimizer
    for number, weight in enumerate(_weights(optimizer)):
        # It makes its own buffers, paged ones among them, and they stay where they are.
        bits.init_state(bits.param_groups[0], weight, 0, number)
        remembered = bits.state[weight]
        for what, value in by_place.get(number, {}).items():
            if isinstance(remembered[what], torch.Tensor):
                remembered[what].copy_(value)
            else:
                remembered[what] = value.item()
