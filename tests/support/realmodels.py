"""Real models for tests that need one: a random checkpoint, and answers by the capsule's own engine for a server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from autosurgeon.capsule.decode import Engine, Row
from autosurgeon.capsule.load_checkpoint import open_model, open_tokenizer
from autosurgeon.config import shipped


def make_random_checkpoint(folder: Path) -> Path:
    """A Qwen2 of two layers with random weights and the lab's tokenizer, which can do nothing."""
    base = shipped("data", "lab", "base")
    tokenizer = open_tokenizer(base)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=96,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / name, folder / name)
    return folder


def engine_answers(folder: Path, prompts: Sequence[str], max_tokens: int) -> Callable[[dict[str, Any]], str]:
    """A checkpoint's greedy answer to a request's prompt, by the capsule's real engine.

    All are made ahead, in one batch, since a row is answered the same in any company and one at a time takes ten times
    as long. None stops at a dedent: that suits a caller who looks at the answers.
    """
    model, tokenizer = open_model(folder).eval(), open_tokenizer(folder)
    rows = [Row(tokenizer(prompt)["input_ids"], False, 0) for prompt in prompts]
    slots = max(len(row.ids) for row in rows) + max_tokens
    found = Engine(model, tokenizer, rows=len(rows), slots=slots, temperature=0).complete(rows, max_tokens)
    texts = dict(zip(prompts, (answer.text for answer in found), strict=True))

    def answer(body: dict[str, Any]) -> str:
        assert (body["max_tokens"], body["temperature"]) == (max_tokens, 0)
        return texts[body["prompt"]]

    return answer
