"""A tiny model of Qwen2's shape goes the whole way on a CPU: NF4 training, merge, pack, export, and three runtimes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from ggufpacks import write_tokenizer
from llamaserver import complete, serving
from mapper import compiled
from safetensors import safe_open
from transformers import Qwen2Config, Qwen2ForCausalLM

from autosurgeon.capsule.generate import generate
from autosurgeon.capsule.merge import merge
from autosurgeon.capsule.train import train
from autosurgeon.core.jobs import GenerateJob, MergeJob, TrainJob, TrainResult
from autosurgeon.core.pack import WEIGHTS_FILE, Lineage
from autosurgeon.core.recipe import Quantization
from autosurgeon.packs.gguf_export import Dtype, export_gguf
from autosurgeon.packs.packstore import PackStore

ROWS = {
    "# Write a function solve(xs): twice.\n": "def solve(xs):\n    return xs * 2\n",
    "# Write a function solve(xs): the sum.\n": "def solve(xs):\n    return sum(xs)\n",
}
MAX_NEW_TOKENS = 32


class Made(NamedTuple):
    """A pack, the result of its training, and its answers through the capsule's engine."""

    packs: PackStore
    digest: str
    trained: TrainResult
    answers: list[str]


def jsonl(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def tiny_qwen2(folder: Path) -> Path:
    """Random weights, biases that are not zero, more rows than tokens, and the lab's vocabulary."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=768,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=176,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.1,  # with 0.02, tied embeddings this narrow could only whisper
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    model = Qwen2ForCausalLM(config)
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.2)
    model.to(torch.bfloat16).save_pretrained(folder)
    write_tokenizer(folder, "qwen2")
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """So small a model waits for its threads and for nothing else."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Made:
    root = tmp_path_factory.mktemp("qwen2")
    base = tiny_qwen2(root / "base")
    job = TrainJob(
        base=base,
        rows=jsonl(root / "rows.jsonl", [{"prompt": p, "completion": c} for p, c in ROWS.items()]),
        epochs=40,
        lr=1e-2,
        rank=16,
        alpha_ratio=2.0,
        quantization=Quantization.NF4,
        batch_rows=2,
        max_tokens=128,
        seed=3,
    )
    trained = train(job, root)
    merge(MergeJob(base=base, adapter=root / trained.adapter), root)
    packs = PackStore(root / "packs")
    digest = packs.commit(root / "model", Lineage()).digest
    prompts = jsonl(root / "prompts.jsonl", [{"task_id": p, "prompt": p, "stop": "end"} for p in ROWS])
    asked = GenerateJob(model=packs.path(digest), prompts=prompts, max_new_tokens=MAX_NEW_TOKENS, batch_rows=2)
    generate(asked, root)
    rows = map(json.loads, (root / "completions.jsonl").read_text().splitlines())
    return Made(packs, digest, trained, [row["completion"] for row in rows])


def test_nf4_training_is_learned_and_the_merged_pack_is_whole_and_answers_as_it_was_taught(made: Made) -> None:
    assert made.trained.loss is not None and made.trained.first_epoch_loss is not None
    assert made.trained.loss < made.trained.first_epoch_loss / 3
    assert made.packs.verify(made.digest).digest == made.digest
    assert made.answers == list(ROWS.values())


def test_a_cpp_program_maps_the_pack(made: Made, tmp_path: Path) -> None:
    program, weights = compiled(tmp_path), made.packs.path(made.digest) / WEIGHTS_FILE
    with safe_open(weights, framework="pt") as opened:
        for name in ("model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.bias"):
            mapped = subprocess.run([program, weights, name], check=True, capture_output=True).stdout
            assert mapped == bytes(opened.get_tensor(name).view(torch.uint8).numpy().tobytes())


@pytest.mark.parametrize("dtype", ["bf16", "f32"])
def test_llama_cpp_chooses_the_tokens_that_the_pack_chooses(made: Made, tmp_path: Path, dtype: Dtype) -> None:
    pytest.importorskip("gguf")
    pytest.importorskip("xllamacpp", reason="llama.cpp's wheel is not installed")
    export_gguf(made.packs.path(made.digest), made.digest, tmp_path / "tiny.gguf", dtype)
    with serving(tmp_path / "tiny.gguf", made.digest, slots=1) as url:
        served = [complete(url, made.digest, prompt, MAX_NEW_TOKENS) for prompt in ROWS]
    assert [one.text for one in served] == made.answers
