"""Export of a pack as a GGUF file: every number is exact, the file names its pack, and it is complete or absent."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy
import pytest
from ggufpacks import CONFIG, checkpoint, shapes_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from autosurgeon.errors import PackError
from autosurgeon.packs.gguf_export import DIGEST_KEY, Dtype, export_gguf, interleaved
from autosurgeon.packs.gguf_tensors import ARCHITECTURES

gguf = pytest.importorskip("gguf")
DIGEST = "ab" * 32
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers.": "blk.",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a file's metadata, and its tensors' bits: 16 of each BF16 number, 32 of each FP32 number."""
    reader = gguf.GGUFReader(path)
    tensors = {}
    for tensor in reader.tensors:
        kind = "<u4" if tensor.tensor_type == gguf.GGMLQuantizationType.F32 else "<u2"
        tensors[tensor.name] = numpy.frombuffer(tensor.data.tobytes(), kind).reshape([*reversed(tensor.shape.tolist())])
    return {name: field.contents() for name, field in reader.fields.items()}, tensors


def name_of(source: str) -> str:
    for old, new in NAMES.items():
        source = source.replace(old, new)
    return source


def in_order(name: str, bits: NDArray[Any], config: dict[str, Any]) -> NDArray[Any]:
    """Return the rows in llama.cpp's order: for a Llama's queries and keys, the halves of each head interleaved."""
    heads = {"q": config["num_attention_heads"], "k": config["num_key_value_heads"]}.get(
        name.rpartition("_proj")[0][-1:]
    )
    if config["model_type"] != "llama" or heads is None:
        return bits
    head = len(bits) // heads
    rows = [
        start + place
        for start in range(0, len(bits), head)
        for pair in range(head // 2)
        for place in (pair, pair + head // 2)
    ]
    return bits[rows]


@pytest.mark.parametrize("dtype", ["bf16", "f32"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_tensor_is_exported_bit_by_bit(tmp_path: Path, architecture: str, tied: bool, dtype: Dtype) -> None:
    changes: dict[str, Any] = {"model_type": architecture, "tie_word_embeddings": tied, "head_dim": 8}
    bits = checkpoint(tmp_path / "pack", **changes)
    out = tmp_path / "out" / "pack.gguf"
    out.parent.mkdir()
    written = export_gguf(tmp_path / "pack", DIGEST, out, dtype)
    assert [file.name for file in out.parent.iterdir()] == ["pack.gguf"]
    assert written.bytes == out.stat().st_size
    metadata, tensors = read(out)
    assert metadata[DIGEST_KEY] == DIGEST
    assert metadata["general.architecture"] == architecture
    assert metadata[f"{architecture}.rope.freq_base"] == 1e6
    assert metadata[f"{architecture}.attention.key_length"] == 8
    assert tensors.keys() == {name_of(name) for name in bits}
    for name, source in bits.items():
        found, wanted = tensors[name_of(name)], in_order(name, source, CONFIG | changes)
        widened = dtype == "f32" or source.ndim == 1
        assert found.itemsize == (4 if widened else 2)
        assert numpy.array_equal(found, wanted.astype("<u4") << 16 if widened else wanted), name


@given(heads=st.integers(1, 4), pairs=st.integers(1, 4), position=st.integers(0, 50), seed=st.integers(0, 9))
def test_interleaved_rows_are_rotated_by_llama_cpp_as_by_transformers(
    heads: int, pairs: int, position: int, seed: int
) -> None:
    """The order of rows affects attention only through the scores of queries and keys."""
    random = numpy.random.default_rng(seed)
    rows = random.standard_normal((2, heads * 2 * pairs))
    angles = position * 10_000.0 ** (-numpy.arange(pairs) / pairs)

    def rotated(values: NDArray[Any], first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
        found = values.copy()
        found[:, first] = values[:, first] * numpy.cos(angles) - values[:, second] * numpy.sin(angles)
        found[:, second] = values[:, first] * numpy.sin(angles) + values[:, second] * numpy.cos(angles)
        return found

    low, even = numpy.arange(pairs), numpy.arange(0, 2 * pairs, 2)
    query, key = (row.reshape(heads, 2 * pairs) for row in rows)
    own = (rotated(query, low, low + pairs) * key).sum(1)
    interleaved_query, interleaved_key = (interleaved(row, heads).reshape(heads, 2 * pairs) for row in rows)
    theirs = (rotated(interleaved_query, even, even + 1) * interleaved_key).sum(1)
    assert numpy.allclose(own, theirs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt_neox"}, "gpt_neox"),
        ({"model_type": None}, "architecture"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_scaling"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "llama3"),
        ({"num_attention_heads": "many"}, "config is incomplete"),
        ({"vocab_size": 700}, "more tokens than its model"),
    ],
)
def test_a_model_that_llama_cpp_would_run_differently_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    checkpoint(tmp_path / "pack", shapes_of(CONFIG), **changes)
    with pytest.raises(PackError, match=message):
        export_gguf(tmp_path / "pack", DIGEST, tmp_path / "pack.gguf")
    assert [file.name for file in tmp_path.iterdir()] == ["pack"]


def test_a_config_without_an_activation_is_exported(tmp_path: Path) -> None:
    checkpoint(tmp_path / "pack", shapes_of(CONFIG))
    path = tmp_path / "pack" / "config.json"
    config = json.loads(path.read_text())
    del config["hidden_act"]
    path.write_text(json.dumps(config))
    assert export_gguf(tmp_path / "pack", DIGEST, tmp_path / "pack.gguf").bytes > 0
    del config["rms_norm_eps"]
    path.write_text(json.dumps(config))
    with pytest.raises(PackError, match=r"config is incomplete.*rms_norm_eps"):
        export_gguf(tmp_path / "pack", DIGEST, tmp_path / "again.gguf")


def test_a_missing_foreign_or_reshaped_tensor_is_named(tmp_path: Path) -> None:
    whole, name = shapes_of(CONFIG), "model.layers.1.self_attn.k_proj.bias"
    changed: list[tuple[dict[str, tuple[int, ...]], str]] = [
        ({key: shape for key, shape in whole.items() if key != name}, f"no {name}"),
        (whole | {"model.layers.1.self_attn.o_proj.bias": (16,)}, "o_proj.bias"),
        (whole | {name: (7,)}, r"wanted \(8,\)"),
    ]
    for shapes, message in changed:
        checkpoint(tmp_path / "pack", shapes)
        with pytest.raises(PackError, match=message):
            export_gguf(tmp_path / "pack", DIGEST, tmp_path / "pack.gguf")


def test_an_output_layer_of_its_own_is_exported_whatever_the_config_states(tmp_path: Path) -> None:
    assert CONFIG["tie_word_embeddings"]
    checkpoint(tmp_path / "pack", shapes_of(CONFIG) | {"lm_head.weight": (736, 16)})
    export_gguf(tmp_path / "pack", DIGEST, tmp_path / "pack.gguf")
    assert "output.weight" in read(tmp_path / "pack.gguf")[1]
    checkpoint(tmp_path / "tied", shapes_of(CONFIG))
    export_gguf(tmp_path / "tied", DIGEST, tmp_path / "tied.gguf")
    assert "output.weight" not in read(tmp_path / "tied.gguf")[1]


def test_a_full_disk_leaves_the_existing_file(tmp_path: Path) -> None:
    checkpoint(tmp_path / "pack")
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "pack.gguf"
    out.write_text("the last one")
    script = (
        "import resource, sys; from pathlib import Path; from autosurgeon.packs.gguf_export import export_gguf;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000));"
        f"export_gguf(Path(sys.argv[1]), {DIGEST!r}, Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "pack"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "could not be written to its end" in done.stderr
    assert [(file.name, file.read_text()) for file in out.parent.iterdir()] == [("pack.gguf", "the last one")]


def test_an_export_needs_memory_for_a_few_large_tensors_and_no_tensor_library(tmp_path: Path) -> None:
    checkpoint(tmp_path / "pack", model_type="llama", hidden_size=256, num_hidden_layers=12, intermediate_size=1024)
    weights, largest = (tmp_path / "pack" / "model.safetensors").stat().st_size, 2 * 1024 * 256
    export_gguf(tmp_path / "pack", DIGEST, tmp_path / "first.gguf")  # so that imports and caches do not count
    tracemalloc.start()
    export_gguf(tmp_path / "pack", DIGEST, tmp_path / "pack.gguf", "f32")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A file is hashed in chunks of 4 MiB, of which two may be in memory.
    assert peak < max(6 * largest, 8 << 20) + 500_000 < weights / 2
    probe = (
        "import json, sys; from pathlib import Path; from autosurgeon.packs.gguf_export import export_gguf;"
        f"export_gguf(Path(sys.argv[1]), {DIGEST!r}, Path(sys.argv[2])); print(json.dumps(sorted(sys.modules)))"
    )
    command = [sys.executable, "-c", probe, str(tmp_path / "pack"), str(tmp_path / "second.gguf")]
    loaded = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert not {"torch", "transformers", "safetensors", "tokenizers"} & {name.split(".")[0] for name in loaded}
