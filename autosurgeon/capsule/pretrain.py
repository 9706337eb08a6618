"""Pretraining of the lab's base model: a BPE tokenizer and a small Llama, seeded, in one epoch."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from autosurgeon.capsule.batches import TokenRow, batches_by_length, to_tensors, tokenize_rows
from autosurgeon.capsule.load_checkpoint import compute_device
from autosurgeon.capsule.workdir import Progress, beat, read_jsonl
from autosurgeon.core.jobs import PretrainJob, PretrainResult

TOKENIZER_ROWS = 8000
WARM_UP_STEPS = 50
MAX_TOKENS = 512


def train_tokenizer(texts: list[str], vocabulary: int) -> Any:
    """Train a byte-level BPE of `vocabulary` tokens, including the padding and end tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


def _new_model(job: PretrainJob, tokenizer: Any) -> Any:
    torch.manual_seed(job.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=job.hidden,
        intermediate_size=job.hidden * 11 // 4,
        num_hidden_layers=job.layers,
        num_attention_heads=job.heads,
        num_key_value_heads=job.heads,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config).to(compute_device())


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save in BF16 without the tied output matrix, as transformers itself does."""
    folder.mkdir()
    model.config.dtype = torch.bfloat16
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    state = {name: t.detach().to("cpu", torch.bfloat16) for name, t in model.state_dict().items()}
    state.pop("lm_head.weight")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def pretrain(job: PretrainJob, workdir: Path) -> PretrainResult:
    """Train and save to `model/`; all tokens are learned, including those of prompts."""
    pairs = [(row["prompt"], row["completion"]) for row in read_jsonl(job.rows)]
    tokenizer = train_tokenizer([prompt + completion for prompt, completion in pairs[:TOKENIZER_ROWS]], job.vocabulary)
    beat(workdir)
    rows = [TokenRow(row.ids, 0) for row in tokenize_rows(tokenizer, pairs, MAX_TOKENS)]
    model = _new_model(job, tokenizer)
    beat(workdir)
    optimizer = torch.optim.AdamW(model.parameters(), lr=job.lr, betas=(0.9, 0.95), weight_decay=0.05)
    batches = batches_by_length(rows, job.batch_rows, random.Random(job.seed))
    steps = len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARM_UP_STEPS) * max(0.02, 1 - step / steps)
    )
    progress = Progress(workdir, steps)
    loss = torch.tensor(0.0)
    for step, batch in enumerate(batches, start=1):
        loss = model(**to_tensors(batch, tokenizer.pad_token_id, model.device)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        progress.step(step, loss=round(loss.item(), 4))
    progress.close()
    _save(model, tokenizer, workdir / "model")
    return PretrainResult(
        model="model",
        parameters=sum(p.numel() for p in model.parameters()),
        steps=steps,
        tokens=sum(len(row.ids) for row in rows),
        loss=loss.item(),
    )
