"""Checkpoints of a training: its whole state on disk, from which a killed training resumes to the identical result.

The tensors are in a safetensors file, everything else is in `state.json`, which names that file with its digest. Both
are written atomically, `state.json` last, so that a checkpoint is complete or absent. Intermediate adapters are in
folders beside it, and `state.json` has their digests.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
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
    """The progress of a training; the order of the rows follows from the seed and is not stored."""

    losses: tuple[float, ...] = ()
    """The loss of each completed step, from which windows and epochs follow."""
    largest_norm: float = 0.0
    pack_tokens: int
    checkpointed: bool
    """Whether activations are recomputed, for lack of memory."""
    saved: tuple[str, ...] = ()
    """Digests of the intermediate adapters beside the checkpoint, oldest first."""

    @property
    def step(self) -> int:
        """The number of completed steps."""
        return len(self.losses)


class _State(Value):
    """The content of `state.json`."""

    format: Literal["autosurgeon.training/1"] = FORMAT
    training: str
    """The digest that identifies the training; a checkpoint of another training is not used."""
    reached: Reached
    tensors: str
    sha256: str
    digest: str
    """The digest of all other fields."""


class Learner(NamedTuple):
    """The mutable state of a training besides `Reached`."""

    weights: dict[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer


class _UnusableError(Exception):
    """A checkpoint cannot be used, with the reason."""


class TrainingFolder:
    """The checkpoints of one training, of which only the newest is kept.

    Args:
        job: the training; its `state` names the folder.
        device: the device of the training.

    """

    def __init__(self, job: TrainJob, device: torch.device) -> None:
        assert job.state is not None
        self._folder, self._every_s = job.state.folder, job.state.every_s
        self._training = _identity(job, device)
        self._written = time.monotonic()

    def restore(self, learner: Learner) -> Reached | None:
        """Restore the last checkpoint into the learner; None, with a line in the log, if there is no usable one."""
        if not (self._folder / STATE_FILE).exists():
            return None
        try:
            reached, tensors = self._read(learner)
        except (_UnusableError, OSError, ValueError, SafetensorError) as error:
            why = str(error).splitlines()[0]
            sys.stderr.write(f"a training checkpoint is not used: {why}; training starts anew ({self._folder})\n")
            return None
        with torch.no_grad():
            for name, weight in learner.weights.items():
                weight.copy_(tensors[f"{WEIGHT}{name}"])
        state = {n.removeprefix(OPTIMIZER): value for n, value in tensors.items() if n.startswith(OPTIMIZER)}
        restore_optimizer(learner.optimizer, state)
        torch.set_rng_state(tensors[f"{RANDOM}cpu"])
        if f"{RANDOM}cuda" in tensors:
            torch.cuda.set_rng_state(tensors[f"{RANDOM}cuda"])
        sys.stderr.write(f"training resumes after step {reached.step}\n")
        return reached

    def _read(self, learner: Learner) -> tuple[Reached, dict[str, torch.Tensor]]:
        content = json.loads((self._folder / STATE_FILE).read_bytes())
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise _UnusableError("it has another format, perhaps a newer one")
        state = _State.model_validate(content)
        if state.digest != _digest(state):
            raise _UnusableError("it is damaged")
        if state.training != self._training:
            raise _UnusableError("it is of another training")
        raw = (self._folder / state.tensors).read_bytes()
        if hashlib.sha256(raw).hexdigest() != state.sha256:
            raise _UnusableError("its tensors are damaged")
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(raw)
        shapes = {name: value.shape for name, value in tensors.items() if name.startswith(WEIGHT)}
        for number, digest in enumerate(state.reached.saved, start=1):
            if adapter_digest(self._folder / checkpoint_name(number)) != digest:
                raise _UnusableError("an intermediate adapter is damaged")
        if shapes != {f"{WEIGHT}{name}": weight.shape for name, weight in learner.weights.items()}:
            raise _UnusableError("its weights have other names or shapes")
        return state.reached, tensors

    def is_due(self) -> bool:
        """Whether the next checkpoint is due."""
        return time.monotonic() - self._written >= self._every_s

    def write(self, learner: Learner, reached: Reached) -> None:
        """Replace the last checkpoint by this one; OSError if the disk fails."""
        tensors = {f"{WEIGHT}{name}": weight.detach().cpu().contiguous() for name, weight in learner.weights.items()}
        tensors |= {f"{OPTIMIZER}{name}": value for name, value in optimizer_state(learner.optimizer).items()}
        tensors[f"{RANDOM}cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors[f"{RANDOM}cuda"] = torch.cuda.get_rng_state()
        self._folder.mkdir(parents=True, exist_ok=True)
        raw, name = safetensors.torch.save(tensors), f"step-{reached.step:08d}.safetensors"
        write_whole(self._folder / name, raw)
        reach("training-state-staged")
        content = {"training": self._training, "reached": reached, "tensors": name}
        state = _State(**content, sha256=hashlib.sha256(raw).hexdigest(), digest="")
        state = state.model_copy(update={"digest": _digest(state)})
        write_whole(self._folder / STATE_FILE, state.model_dump_json() + "\n")
        flush(self._folder)
        reach("training-state-written")
        for file in self._folder.iterdir():
            if file.is_file() and file.name not in (name, STATE_FILE):
                file.unlink()
        self._written = time.monotonic()


def _digest(state: _State) -> str:
    return digest_text(state.model_dump_json(exclude={"digest"}))


def _identity(job: TrainJob, device: torch.device) -> str:
    """Return the digest of everything that the next step depends on, except the base, which the effect identifies."""
    assert job.state is not None
    content: dict[str, Any] = job.model_dump(mode="json", exclude={"base", "rows", "probe", "state"})
    content |= {"effect": job.state.effect, "rows": hashlib.sha256(job.rows.read_bytes()).hexdigest()}
    if job.probe is not None and job.parent_facts:  # a stop rule that uses the probe may end training
        content["probe"] = hashlib.sha256(job.probe.read_bytes()).hexdigest()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return digest_json(content | {"torch": torch.__version__, "device": where})
