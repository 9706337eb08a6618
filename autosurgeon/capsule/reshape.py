"""Derive an adapter from existing ones by arithmetic on their tensors, without training.

Products are computed in FP32 as in the merge. Factors are applied to `lora_B`, so that rank, alpha and config of a
scaled adapter do not change: a resident capsule can load it in place of the previous one, and its merge is
W + factor * scale * B A.

Sources: scaling the delta is WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903); `lines` is LiNeS (Wang et al. 2025,
arXiv 2410.17146); averages are model soups (Wortsman et al. 2022, arXiv 2203.05482), within one parent; intruder
dimensions are from Shuttleworth et al. 2024, arXiv 2410.21228, removed as in peft's `reduce_intruder_dimension`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from autosurgeon.capsule.merge import Adapter, fit, read_adapter, transpose
from autosurgeon.capsule.workdir import Progress, write_whole
from autosurgeon.core.jobs import ReshapeJob, ReshapeResult
from autosurgeon.core.shapes import checkpoint_shapes, weight_files

ADAPTER = "adapter"
Pair = tuple[torch.Tensor, torch.Tensor]
"""`lora_A` and `lora_B` of a matrix."""
MAX_INTRUDERS = 10
SIMILAR_COSINE = 0.5
MITIGATION = 0.75
"""peft's defaults: the number of directions that are checked, the cosine from which the parent has a direction, and the
factor of an intruder's singular value."""


def reshape(job: ReshapeJob, workdir: Path) -> ReshapeResult:
    """Write `adapter/`: a plain LoRA adapter that fits the same base."""
    adapters = [read_adapter(folder) for folder in job.adapters]
    shapes = checkpoint_shapes(job.base)
    fitted = [fit(adapter, shapes, job.base, folder) for folder, adapter in zip(job.adapters, adapters, strict=True)]
    config = json.loads((job.adapters[0] / "adapter_config.json").read_text(encoding="utf-8"))
    pairs = dict(sorted(adapters[0].pairs.items()))
    progress = Progress(workdir, len(pairs))
    if job.method == "average":
        made, config = _average(adapters), _joint_config(job.adapters, config)
    elif job.method == "intruders":
        in_adapter = dict(zip(fitted[0].pairs, adapters[0].pairs, strict=True))
        made = _without_intruders(job.base, adapters[0], in_adapter, progress)
    else:
        factor_of = _factors(job, list(shapes))
        made = {name: (a, _times(b, factor_of(name))) for name, (a, b) in pairs.items()}
    progress.step(len(pairs))
    progress.close()
    _save(transpose(made) if adapters[0].transposed else made, config, workdir / ADAPTER)
    changed = sum(not _same(pairs.get(name), pair) for name, pair in made.items())
    return ReshapeResult(adapter=ADAPTER, pairs=len(made), changed=changed)


def _same(before: Pair | None, after: Pair) -> bool:
    return before is not None and all(torch.equal(x, y) for x, y in zip(before, after, strict=True))


def _times(lora_b: torch.Tensor, factor: float) -> torch.Tensor:
    """Multiply in FP32, because a product rounded to BF16 here would be rounded twice by the merge."""
    return lora_b if factor == 1 else lora_b.float() * factor


def _factors(job: ReshapeJob, names: list[str]) -> Callable[[str], float]:
    """Return the function from a matrix's name to the factor of its delta."""
    last = max((layer for name in names if (layer := layer_of(name)) is not None), default=0)

    def factor_of(name: str) -> float:
        layer = layer_of(name)
        if job.method == "scale" or layer is None:
            return job.factor
        return 1.0 if last == 0 else job.factor + (1 - job.factor) * layer / last

    return factor_of


def layer_of(name: str) -> int | None:
    """Return the layer of a tensor, from 0, by the first number in its name; None outside of layers."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def _average(adapters: list[Adapter]) -> dict[str, Pair]:
    """Return the exact mean of the deltas: concatenated halves, with the scales and 1/n in B, for a scale of 1.

    A matrix that an adapter does not change has a delta of zero, so that the rank is the same for all matrices.
    """
    made: dict[str, Pair] = {}
    for name in sorted({name for adapter in adapters for name in adapter.pairs}):
        like = next(adapter.pairs[name] for adapter in adapters if name in adapter.pairs)
        halves_a, halves_b = [], []
        for adapter in adapters:
            rank = next(iter(adapter.pairs.values()))[0].shape[0]
            none = torch.zeros(rank, like[0].shape[1]), torch.zeros(like[1].shape[0], rank)
            lora_a, lora_b = adapter.pairs.get(name, none)
            halves_a.append(lora_a.float())
            halves_b.append(lora_b.float() * (adapter.scale / len(adapters)))
        made[name] = torch.cat(halves_a, 0), torch.cat(halves_b, 1)
    return made


def _joint_config(folders: tuple[Path, ...], config: dict[str, Any]) -> dict[str, Any]:
    """Return the first adapter's config with the sum of the ranks, an alpha over rank of 1, and all target modules."""
    configs = [json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")) for folder in folders]
    rank = sum(other["r"] for other in configs)
    targets = sorted({name for other in configs for name in other["target_modules"]})
    return config | {"r": rank, "lora_alpha": rank, "use_rslora": False, "target_modules": targets}


def _without_intruders(base: Path, adapter: Adapter, names: dict[str, str], progress: Progress) -> dict[str, Pair]:
    """Return the reduced pairs; `names` has the adapter's name of each of the base's tensors."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    made = {}
    for done, (stored, weight) in enumerate(_weights(base, set(names)), start=1):
        name = names[stored]
        lora_a, lora_b = adapter.pairs[name]
        pair = _reduced(weight.to(device).float(), lora_a.to(device).float(), lora_b.to(device).float(), adapter.scale)
        made[name] = (lora_a, lora_b) if pair is None else (pair[0].cpu(), pair[1].cpu())
        progress.step(done, force=True)  # a matrix takes seconds in a large model, and each step is a heartbeat
    return dict(sorted(made.items()))


def _weights(base: Path, names: set[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield some of a checkpoint's tensors, with one in memory at a time."""
    for file in weight_files(base):
        with safe_open(file, "pt") as tensors:
            for name in sorted(names & set(tensors.keys())):
                yield name, tensors.get_tensor(name)


def _reduced(weight: torch.Tensor, lora_a: torch.Tensor, lora_b: torch.Tensor, scale: float) -> Pair | None:
    """Return halves of the same rank without most of the intruders; None if there are no intruders.

    An intruder is one of the first left singular directions of the merged matrix that is similar to none of the parent.
    """
    merged = weight + (lora_b @ lora_a) * scale
    parent_left = torch.linalg.svd(weight, full_matrices=False)[0]
    left, strength, right = torch.linalg.svd(merged, full_matrices=False)
    cosine = (left[:, :MAX_INTRUDERS].T @ parent_left).abs().amax(dim=1)
    found = torch.where(cosine < SIMILAR_COSINE)[0]
    if not len(found):
        return None
    # dW - 0.25 U S V of the intruders as two thin factors, so that its best approximation of the adapter's rank needs
    # no decomposition of the whole matrix.
    tall = torch.cat([lora_b, left[:, found] * (strength[found] * ((MITIGATION - 1) / scale))], 1)
    wide = torch.cat([lora_a, right[found]], 0)
    tall_q, tall_r = torch.linalg.qr(tall)
    wide_q, wide_r = torch.linalg.qr(wide.T)
    inner_left, inner, inner_right = torch.linalg.svd(tall_r @ wide_r.T)
    rank = lora_a.shape[0]
    root = inner[:rank].sqrt()
    return root[:, None] * (inner_right[:rank] @ wide_q.T), (tall_q @ inner_left[:, :rank]) * root


def _save(pairs: dict[str, Pair], config: dict[str, Any], folder: Path) -> None:
    folder.mkdir()
    state: dict[str, torch.Tensor] = {}
    for name, (lora_a, lora_b) in pairs.items():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        state |= {f"{stem}.lora_A.weight": lora_a.contiguous(), f"{stem}.lora_B.weight": lora_b.contiguous()}
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    write_whole(folder / "adapter_config.json", json.dumps(config, indent=1, sort_keys=True) + "\n")
