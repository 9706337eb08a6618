"""Optimizers by name, with 8-bit ones from bitsandbytes, and their state as tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from autosurgeon.core.jobs import Optimizer


def make_optimizer(name: Optimizer, weights: Iterable[torch.nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return AdamW without weight decay, with its state in FP32 or 8 bits, and optionally paged to the host."""
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
    """Return the optimizer's state by the weight's index and the value's name; numbers are scalar tensors."""
    return {
        f"{place}.{name}": torch.as_tensor(value).detach().cpu().contiguous()
        for place, weight in enumerate(_weights(optimizer))
        for name, value in optimizer.state[weight].items()
        if not name.startswith("qmap")  # a constant table that all weights share
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, torch.Tensor]) -> None:
    """Restore the state from `optimizer_state` into a fresh optimizer; the caller sets the learning rate."""
    by_place: dict[int, dict[str, Any]] = {}
    for key, value in state.items():
        place, _, what = key.partition(".")
        by_place.setdefault(int(place), {})[what] = value
    if isinstance(optimizer, torch.optim.AdamW):
        optimizer.load_state_dict({"state": by_place, "param_groups": optimizer.state_dict()["param_groups"]})
        return
    bits: Any = optimizer
    for number, weight in enumerate(_weights(optimizer)):
        # The optimizer allocates its own buffers, possibly paged ones, and they stay in place.
        bits.init_state(bits.param_groups[0], weight, 0, number)
        current = bits.state[weight]
        for what, value in by_place.get(number, {}).items():
            if isinstance(current[what], torch.Tensor):
                current[what].copy_(value)
            else:
                current[what] = value.item()
