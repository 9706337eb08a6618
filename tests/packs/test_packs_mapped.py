"""A runtime without Python maps a pack: a C++ program finds a tensor by the header and reads the bytes of torch."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from mapper import compiled
from safetensors import safe_open

from autosurgeon.config import shipped
from autosurgeon.packs.packstore import PackStore


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C++ reader, compiled here."""
    return compiled(tmp_path_factory.mktemp("runtime"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of the lab's base, packed."""
    packs = PackStore(tmp_path_factory.mktemp("packs"))
    return packs.path(packs.import_checkpoint(shipped("data", "lab", "base")).digest) / "model.safetensors"


def test_a_cpp_program_maps_a_pack_and_reads_the_bytes_that_torch_reads(program: Path, weights: Path) -> None:
    with safe_open(weights, framework="pt") as opened:
        names = list(opened.keys())
        assert names
        for name in names:
            wanted = opened.get_tensor(name)
            assert wanted.dtype == torch.bfloat16
            mapped = subprocess.run([program, weights, name], check=True, capture_output=True).stdout
            assert mapped == bytes(wanted.contiguous().view(torch.uint8).numpy().tobytes())


def test_a_truncated_file_and_a_missing_tensor_are_refused(program: Path, weights: Path, tmp_path: Path) -> None:
    cut = tmp_path / "model.safetensors"
    cut.write_bytes(weights.read_bytes()[:4096])
    name = "model.norm.weight"
    for file, tensor in ((weights, "no.such.weight"), (cut, name), (tmp_path / "none", name)):
        done = subprocess.run([program, file, tensor], capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (2, b"")
