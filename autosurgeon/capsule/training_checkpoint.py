"""Training's whole state on the disk, so that a training that was killed goes on from there to the very same end.

Tensors are in a safetensors file, everything else in `state.json`, which names that file with its digest. Each is
written beside itself, flushed and renamed, `state.json` last: what it says is whole or not there at all. Adapters that
were saved on the way stand beside it, in folders of their own, and `state.json` has their digests.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError

from autosurgeon.capsule.adapters import adapter_digest, checkpoint_name
from autosurgeon.capsule.optimizer import optimizer_state, restore_optimizer
from autosurgeon.capsule.workdir import flush, write_whole
from autosurgeon.core.digest import digest_json, digest_text
from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.value import Value
from autosurgeon.failpoints import reach

STATE_FILE = "state.json"
FORMAT: Literal["autosurgeon.training/1"] = "autosurgeon.training/1"
WEIGHT, OPTIMIZER, RANDOM = "weight.", "optimizer.", "random."


class Reached(Value):
    """How far training has come; the order of the rows follows from the seed, and is not kept."""

    losses: tuple[float, ...] = ()
    """Of each step that is done, from which windows and epochs follow."""
    largest_norm: float = 0.0
    pack_tokens: int
    checkpointed: bool
    """Whether activations are made twice, for want of memory."""
    saved: tuple[str, ...] = ()
    """Digests of the adapters that were saved on the way, beside the state, oldest first."""

    @property
    def step(self) -> int:
        """Steps that are done."""
        return len(self.losses)


class _Kept(Value):
    """`state.json`."""

    format: Literal["autosurgeon.training/1"] = FORMAT
    training: str
    """Digest of what is trained, how and by what: a state of another training is none of this one."""
    reached: Reached
    tensors: str
    sha256: str
    digest: str
    """Of all above."""


class Learner(NamedTuple):
    """What changes while training goes on, besides what `Reached` says."""

    weights: dict[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer


class _UnusableError(Exception):
    """A state that cannot be gone on from, and why."""


class TrainingFolder:
    """The states of one training, of which the newest is kept.

    Args:
        job: the training; its `state` says where.
        device: it trains on.

    """

    def __init__(self, job: TrainJob, device: torch.device) -> None:
        assert job.state is not None
        self._folder, self._every_s = job.state.folder, job.state.every_s
        self._training = _identity(job, device)
        self._written = time.monotonic()

    def restore(self, learner: Learner) -> Reached | None:
        """Put the learner where the last state was; None, with a line in the log, where there is none to go on from."""
        if not (self._folder / STATE_FILE).exists():
            return None
        try:
            reached, tensors = self._read(learner)
        except (_UnusableError, OSError, ValueError, SafetensorError) as error:
            why = str(error).splitlines()[0]
            sys.stderr.write(f"a training state is left alone: {why}; training starts anew ({self._folder})\n")
            return None
        with torch.no_grad():
            for name, weight in learner.weights.items():
                weight.copy_(tensors[f"{WEIGHT}{name}"])
        remembered = {n.removeprefix(OPTIMIZER): value for n, value in tensors.items() if n.startswith(OPTIMIZER)}
        restore_optimizer(learner.optimizer, remembered)
        torch.set_rng_state(tensors[f"{RANDOM}cpu"])
        if f"{RANDOM}cuda" in tensors:
            torch.cuda.set_rng_state(tensors[f"{RANDOM}cuda"])
        sys.stderr.write(f"training goes on after step {reached.step}\n")
        return reached

    def _read(self, learner: Learner) -> tuple[Reached, dict[str, torch.Tensor]]:
        content = json.loads((self._folder / STATE_FILE).read_bytes())
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise _UnusableError("it is of another format, a newer one perhaps")
        kept = _Kept.model_validate(content)
        if kept.digest != _digest(kept):
            raise _UnusableError("it is damaged")
        if kept.training != self._training:
            raise _UnusableError("it is of another training")
        raw = (self._folder / kept.tensors).read_bytes()
        if hashlib.sha256(raw).hexdigest() != kept.sha256:
            raise _UnusableError("its tensors are damaged")
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(raw)
        shapes = {name: value.shape for name, value in tensors.items() if name.startswith(WEIGHT)}
        for number, digest in enumerate(kept.reached.saved, start=1):
            if adapter_digest(self._folder / checkpoint_name(number)) != digest:
                raise _UnusableError("an adapter that it saved on the way is damaged")
        if shapes != {f"{WEIGHT}{name}": weight.shape for name, weight in learner.weights.items()}:
            raise _UnusableError("it is of other weights")
        return kept.reached, tensors

    def is_due(self) -> bool:
        """Whether it is time to write again."""
        return time.monotonic() - self._written >= self._every_s

    def write(self, learner: Learner, reached: Reached) -> None:
        """Keep this state instead of the last one; OSError where the disk does not take it."""
        tensors = {f"{WEIGHT}{name}": weight.detach().cpu().contiguous() for name, weight in learner.weights.items()}
        tensors |= {f"{OPTIMIZER}{name}": value for name, value in optimizer_state(learner.optimizer).items()}
        tensors[f"{RANDOM}cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors[f"{RANDOM}cuda"] = torch.cuda.get_rng_state()
        self._folder.mkdir(parents=True, exist_ok=True)
        raw, name = safetensors.torch.save(tensors), f"step-{reached.step:08d}.safetensors"
        _write_bytes(self._folder / name, raw)
        reach("training-state-staged")
        content = {"training": self._training, "reached": reached, "tensors": name}
        kept = _Kept(**content, sha256=hashlib.sha256(raw).hexdigest(), digest="")
        kept = kept.model_copy(update={"digest": _digest(kept)})
        write_whole(self._folder / STATE_FILE, kept.model_dump_json() + "\n")
        flush(self._folder)
        reach("training-state-written")
        for file in self._folder.iterdir():
            if file.is_file() and file.name not in (name, STATE_FILE):
                file.unlink()
        self._written = time.monotonic()


def _digest(kept: _Kept) -> str:
    return digest_text(kept.model_dump_json(exclude={"digest"}))


def _identity(job: TrainJob, device: torch.device) -> str:
    """Digest of everything that the next step hangs on, but the base, which the effect names."""
    assert job.state is not None
    content: dict[str, Any] = job.model_dump(mode="json", exclude={"base", "rows", "probe", "state"})
    content |= {"effect": job.state.effect, "rows": hashlib.sha256(job.rows.read_bytes()).hexdigest()}
    if job.probe is not None and job.parent_facts:  # where a stop rule looks at it, the end hangs on it
        content["probe"] = hashlib.sha256(job.probe.read_bytes()).hexdigest()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return digest_json(content | {"torch": torch.__version__, "device": where})


def _write_bytes(path: Path, raw: bytes) -> None:
    staged = path.with_name(path.name + ".part")
    with staged.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)
