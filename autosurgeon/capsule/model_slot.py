"""The place of a model that stays while its weights come and go: base, adapter on top of it, pack, base again.

Weights are copied into the memory where the first model's were, so that what was recorded from them holds for all. They
are copied for every job anew: a folder may have another content under the same name. What cannot be copied one tensor
to one, a checkpoint that lacks tensors for instance, is opened afresh each time, as a fresh process would.
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

from autosurgeon.capsule.load_checkpoint import check_present, open_model, open_tokenizer
from autosurgeon.core.shapes import checkpoint_shapes, weight_files
from autosurgeon.errors import PackError

ADAPTER_FILE, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
OF_THE_WEIGHTS = ("manifest.json", "model.safetensors.index.json")
"""JSON that says nothing of how a model is built or a text is read."""
DESCRIBING = (".json", ".txt", ".model", ".jinja")


class Kind(NamedTuple):
    """What two folders have to have in common for one to be copied over the other."""

    files: tuple[tuple[str, str], ...]
    """Names and digests of config, tokenizer and the like."""
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    """Of the tensors in the files, sorted by name."""


def _kind_of(folder: Path, files: list[Path]) -> Kind:
    described = tuple((file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in sorted(files))
    return Kind(described, tuple(sorted(checkpoint_shapes(folder).items())))


def model_kind(folder: Path) -> Kind:
    """The kind of a checkpoint; PackError where it is none."""
    check_present(folder)
    files = [file for file in folder.iterdir() if file.suffix in DESCRIBING and file.name not in OF_THE_WEIGHTS]
    return _kind_of(folder, files)


def adapter_kind(folder: Path) -> Kind:
    """The kind of an adapter; PackError where it is incomplete."""
    for name in (ADAPTER_FILE, ADAPTER_CONFIG):
        if not (folder / name).is_file():
            raise PackError("an adapter is incomplete", wanted=name, where=folder)
    return _kind_of(folder, [folder / ADAPTER_CONFIG])


class ModelSlot:
    """A model in memory, where the weights of others of its kind can take the place of its own.

    Args:
        folder: the first one's checkpoint.
        kind: its kind.

    """

    def __init__(self, folder: Path, kind: Kind) -> None:
        # Transformers fills a tensor that the file lacks at random: the same way each time.
        torch.manual_seed(0)
        self.model, self.tokenizer = open_model(folder).eval(), open_tokenizer(folder)
        tensors = self.model.state_dict()
        self._tensors = {name: tensors[name] for name, _ in kind.shapes if name in tensors}
        places = {tensor.data_ptr() for tensor in self._tensors.values()}
        # Each tensor of the file has a place of its own, and each place of the model is one's, or tied to one's.
        copyable = len(places) == len(kind.shapes) and places == {tensor.data_ptr() for tensor in tensors.values()}
        self._kind = kind if copyable else None
        self._adapter: _Adapter | None = None

    def takes(self, kind: Kind, adapter: Kind | None) -> bool:
        """Whether a model of that kind, with such an adapter on it or none, can be here in place of the one that is."""
        return kind == self._kind and (adapter is None or self._adapter is None or self._adapter.kind == adapter)

    @torch.no_grad()
    def copy_in(self, folder: Path) -> None:
        """Let the checkpoint's weights take the place of those that are here."""
        for file in weight_files(folder):
            with safe_open(file, "pt") as weights:
                for name in weights.keys():  # noqa: SIM118  (it is no mapping)
                    self._tensors[name].copy_(weights.get_tensor(name))

    def put_on(self, adapter: Path, kind: Kind) -> None:
        """Let the model be with that adapter on it, unmerged."""
        if self._adapter is None:
            self._adapter = _Adapter(self.model, adapter, kind)
        else:
            self._adapter.put_on(adapter)

    def take_off(self) -> None:
        """Let the model be without any."""
        if self._adapter is not None:
            self._adapter.take_off()


class _Adapter:
    """An adapter's layers, in and out of a model; its weights are copied in place like the model's own."""

    def __init__(self, model: Any, folder: Path, kind: Kind) -> None:
        self.kind = kind
        self._whole = PeftModel.from_pretrained(model, str(folder)).eval()
        inner = self._whole.get_base_model()
        self._layers = {name: layer for name, layer in inner.named_modules() if isinstance(layer, LoraLayer)}
        self._parents = {name: inner.get_submodule(name.rpartition(".")[0]) for name in self._layers}

    def put_on(self, folder: Path) -> None:
        for name, layer in self._layers.items():
            setattr(self._parents[name], name.rpartition(".")[2], layer)
        set_peft_model_state_dict(self._whole, load_file(folder / ADAPTER_FILE))

    def take_off(self) -> None:
        for name, layer in self._layers.items():
            setattr(self._parents[name], name.rpartition(".")[2], layer.get_base_layer())
