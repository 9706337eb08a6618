"""Real models for tests that need one: a random checkpoint, and answers by the capsule's own engine for a server."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from autosurgeon.capsule.checkpoint import open_model, open_tokenizer
from autosurgeon.capsule.decode import Engine, Row
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


def engine_answers(folder: Path) -> Callable[[dict[str, Any]], str]:
    """The greedy answer of a checkpoint to a request's prompt, to the end token or `max_tokens`, by the real engine.

    It does not stop at a dedent: that is for whoever asks to see.
    """
    model, tokenizer = open_model(folder).eval(), open_tokenizer(folder)
    one_at_a_time = threading.Lock()

    def answer(body: dict[str, Any]) -> str:
        ids = tokenizer(body["prompt"])["input_ids"]
        with one_at_a_time:
            engine = Engine(model, tokenizer, rows=1, slots=len(ids) + body["max_tokens"], temperature=0)
            return engine.complete([Row(ids, False, 0)], body["max_tokens"])[0].text

    return answer
