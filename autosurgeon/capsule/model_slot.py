"""The model slot: a model in memory whose weights are replaced from job to job: base, adapter, pack, base again.

Weights are copied into the memory of the first model, so that recorded graphs remain valid. They are copied for every
job, because the content of a folder may change. A checkpoint whose tensors do not correspond one to one to the model's
is loaded anew each time, as in a fresh process.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.utils import set_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file

from autosurgeon.capsule.adapters import CONFIG_FILE, WEIGHTS_FILE
from autosurgeon.capsule.load_checkpoint import check_present, open_model, open_tokenizer
from autosurgeon.core.shapes import checkpoint_shapes, weight_files
from autosurgeon.errors import PackError

WEIGHT_METADATA = ("manifest.json", "model.safetensors.index.json")
"""JSON files that affect neither the architecture nor the tokenizer."""
CONFIG_SUFFIXES = (".json", ".txt", ".model", ".jinja")


class Kind(NamedTuple):
    """The properties that two folders must share for one's weights to be copied over the other's."""

    files: tuple[tuple[str, str], ...]
    """Names and digests of config and tokenizer files."""
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    """The shapes of the tensors, sorted by name."""


def _kind_of(folder: Path, files: list[Path]) -> Kind:
    digests = tuple((file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in sorted(files))
    return Kind(digests, tuple(sorted(checkpoint_shapes(folder).items())))


def model_kind(folder: Path) -> Kind:
    """Return the kind of a checkpoint; PackError if it is not a checkpoint."""
    check_present(folder)
    files = [file for file in folder.iterdir() if file.suffix in CONFIG_SUFFIXES and file.name not in WEIGHT_METADATA]
    return _kind_of(folder, files)


def adapter_kind(folder: Path) -> Kind:
    """Return the kind of an adapter; PackError if it is incomplete."""
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        if not (folder / name).is_file():
            raise PackError("an adapter is incomplete", wanted=name, where=folder)
    return _kind_of(folder, [folder / CONFIG_FILE])


class ModelSlot:
    """A model in memory, whose weights can be replaced by those of other models of its kind.

    Args:
        folder: the checkpoint of the first model.
        kind: its kind.

    """

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.model, self.tokenizer = open_model(folder).eval(), open_tokenizer(folder)
        tensors = self.model.state_dict()
        self._tensors = {name: tensors[name] for name, _ in kind.shapes if name in tensors}
        addresses = {tensor.data_ptr() for tensor in self._tensors.values()}
        # Each tensor of the file has its own address, and each address of the model belongs to one, or is tied to one.
        copyable = len(addresses) == len(kind.shapes) and addresses == {t.data_ptr() for t in tensors.values()}
        self._kind = kind if copyable else None
        self._adapter: _Adapter | None = None

    def takes(self, kind: Kind, adapter: Kind | None) -> bool:
        """Whether a model of that kind, with an adapter of that kind or none, can replace the current one."""
        return kind == self._kind and (adapter is None or self._adapter is None or self._adapter.kind == adapter)

    @torch.no_grad()
    def load_weights(self, folder: Path) -> None:
        """Replace the model's weights by those of a checkpoint."""
        for file in weight_files(folder):
            with safe_open(file, "pt") as weights:
                for name in weights.keys():  # noqa: SIM118  (it is not a mapping)
                    self._tensors[name].copy_(weights.get_tensor(name))

    def attach_adapter(self, adapter: Path, kind: Kind) -> None:
        """Attach an adapter to the model, without merging it."""
        if self._adapter is None:
            self._adapter = _Adapter(self.model, adapter, kind)
        else:
            self._adapter.attach(adapter)

    def detach_adapter(self) -> None:
        """Detach the adapter, if one is attached."""
        if self._adapter is not None:
            self._adapter.detach()


class _Adapter:
    """An adapter's layers, which can be attached to a model; its weights are copied in place like the model's own."""

    def __init__(self, model: Any, folder: Path, kind: Kind) -> None:
        self.kind = kind
        self._whole = PeftModel.from_pretrained(model, str(folder)).eval()
        inner = self._whole.get_base_model()
        self._layers = {name: layer for name, layer in inner.named_modules() if isinstance(layer, LoraLayer)}
        self._parents = {name: inner.get_submodule(name.rpartition(".")[0]) for name in self._layers}

    def attach(self, folder: Path) -> None:
        for name, layer in self._layers.items():
            setattr(self._parents[name], name.rpartition(".")[2], layer)
        set_peft_model_state_dict(self._whole, load_file(folder / WEIGHTS_FILE))

    def detach(self) -> None:
        for name, layer in self._layers.items():
            setattr(self._parents[name], name.rpartition(".")[2], layer.get_base_layer())
