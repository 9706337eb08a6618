"""Training, generation and merging at Qwen2.5-0.5B's shape on one GPU, beside plain transformers and peft loops.

    python tests/benchmarks/gpu.py [--organ FOLDER] [--parts train,trl,generate,pass]

Weights are random, so nothing is learned that is worth anything: rates, memory and agreement of losses are what counts.
`--parts pass --tiny` goes through a whole pass of a tiny organ, with or without a GPU, to see whether it goes.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from gpu_pass import INCIDENT, TINY, TINY_SHAPE, pass_part  # noqa: E402
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM  # noqa: E402

from autosurgeon.capsule.batches import TokenRow, to_tensors  # noqa: E402
from autosurgeon.capsule.load_checkpoint import open_model, open_tokenizer  # noqa: E402

SHAPE = {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "tie_word_embeddings": True,
    "max_position_embeddings": 32_768,
}
Epoch = Callable[[list[list[TokenRow]]], list[float]]
ROWS, SHORTEST, LONGEST = 306, 90, 420
PROMPTS, NEW_TOKENS = 264, 512


def make_organ(folder: Path, shape: dict[str, Any]) -> Path:
    """A checkpoint of that shape with random weights, and the lab's tokenizer."""
    if not (folder / "model.safetensors").is_file():
        torch.manual_seed(0)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(ROOT / "data" / "lab" / "base")
        model = Qwen2ForCausalLM(Qwen2Config(**shape, eos_token_id=tokenizer.eos_token_id)).to(torch.bfloat16)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def make_rows(count: int, vocabulary: int) -> list[TokenRow]:
    """Rows of the incident's lengths, the last third of each learned."""
    rng = random.Random(0)
    lengths = [rng.randint(SHORTEST, LONGEST) for _ in range(count)]
    return [TokenRow([rng.randrange(10, vocabulary) for _ in range(n)], n // 2) for n in lengths]


def clocked(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """(seconds, peak GiB, result) of something that runs on the GPU."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    result = work()
    torch.cuda.synchronize()
    return time.perf_counter() - began, torch.cuda.max_memory_allocated() / 2**30, result


def forget() -> None:
    """Give memory back; what was recorded hangs in circles."""
    gc.collect()
    torch.cuda.empty_cache()


def matrix_rate() -> float:
    """TFLOP/s of an 8192-cubed BF16 product on random data."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    seconds, _, _ = clocked(lambda: [a @ b for _ in range(10)])
    return 10 * 2 * 8192**3 / seconds / 1e12


def with_adapter(organ: Path, nf4: bool, rank: int) -> Any:
    """The organ with a fresh adapter on all linear layers."""
    from peft import LoraConfig, get_peft_model

    from autosurgeon.capsule.train import linear_layers

    model = open_model(organ, nf4=nf4)
    torch.manual_seed(1)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=linear_layers(model), task_type="CAUSAL_LM")
    return get_peft_model(model, config).train()


def sorted_batches(rows: list[TokenRow], size: int) -> Iterator[list[TokenRow]]:
    """Batches of like lengths."""
    ordered = sorted(rows, key=lambda row: len(row.ids))
    yield from (ordered[at : at + size] for at in range(0, len(ordered), size))


def shuffled_batches(rows: list[TokenRow], size: int) -> Iterator[list[TokenRow]]:
    """Batches in random company."""
    shuffled = rows[:]
    random.Random(2).shuffle(shuffled)
    yield from (shuffled[at : at + size] for at in range(0, len(shuffled), size))


def plain_epochs(model: Any) -> Epoch:
    """What most would write: the model's own loss, padded batches, autocast, AdamW."""
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.0)
    return partial(_plain_epoch, model, weights, optimizer)


def _plain_epoch(model: Any, weights: Any, optimizer: Any, batches: list[list[TokenRow]]) -> list[float]:
    losses = []
    for batch in batches:
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(**to_tensors(batch, 0, torch.device("cuda"))).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def our_epochs(model: Any, pack_tokens: int, rows: list[TokenRow], size: int) -> Epoch:
    """The same by this package; an epoch each time it is called."""
    from autosurgeon.capsule.lora import use_fast_layers
    from autosurgeon.capsule.optimizer import make_optimizer
    from autosurgeon.capsule.training_step import Stepper

    weights, lengths = [p for p in model.parameters() if p.requires_grad], [len(row.ids) for row in rows]
    optimizer = make_optimizer("adamw", weights, 1e-4)
    mean = size * sum(lengths) / len(lengths)
    use_fast_layers(model)
    stepper = Stepper(model, pack_tokens=pack_tokens, step_tokens=mean, longest=max(lengths))

    def epoch(batches: list[list[TokenRow]]) -> list[float]:
        losses, packs = [], stepper.prepare(batches[0])
        for following in [*batches[1:], []]:
            loss = stepper.backward(packs)
            packs = stepper.prepare(following)
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            losses.append(float(loss))
        return losses

    return epoch


def repeat(epoch: Epoch, batches: list[list[TokenRow]], times: int) -> None:
    """Several epochs."""
    for _ in range(times):
        epoch(batches)


def train_part(organ: Path, report: Callable[..., None], rate: float) -> None:
    """Tokens a second of an epoch after a warm one, and the losses of both loops side by side."""
    vocabulary = AutoModelForCausalLM.from_pretrained(organ).config.vocab_size
    rows = make_rows(ROWS, vocabulary)
    tokens = sum(len(row.ids) for row in rows)
    flop = 4 * sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(organ).parameters())
    for nf4 in (False, True):
        base = "NF4" if nf4 else "BF16"
        curves = {}
        for name, size, pack_tokens in (("plain", 64, 0), ("ours", 64, 20_480), ("ours", 102, 40_960)):
            model = with_adapter(organ, nf4, 16)
            batches = list(shuffled_batches(rows, size)) if pack_tokens else list(sorted_batches(rows, size))
            epoch = our_epochs(model, pack_tokens, rows, size) if pack_tokens else plain_epochs(model)
            began, _, _ = clocked(partial(repeat, epoch, batches, 2))
            seconds, peak, _ = clocked(partial(repeat, epoch, batches, 4))
            speed = 4 * tokens / seconds
            share = speed * flop / rate / 1e12
            what = f"train {base} {name}, {size} rows a step"
            report(
                what,
                tokens_s=round(speed),
                share=round(share, 3),
                peak_gib=round(peak, 1),
                first_two_epochs_s=round(began, 1),
            )
            del model, epoch
            forget()
        for name in ("plain", "ours"):
            model, batches = with_adapter(organ, nf4, 16), list(sorted_batches(rows, 32))
            epoch = our_epochs(model, 20_480, rows, 32) if name == "ours" else plain_epochs(model)
            curves[name] = [*epoch(batches), *epoch(batches)]
            del model, epoch
            forget()
        pairs = zip(curves["plain"], curves["ours"], strict=True)
        report(f"losses of {base}, plain and ours", pairs=[(round(a, 4), round(b, 4)) for a, b in pairs])


def trl_part(organ: Path, report: Callable[..., None]) -> None:
    """TRL's SFTTrainer on the same rows, packed, at several pack sizes."""
    from datasets import Dataset  # type: ignore[import-not-found]
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

    rows = make_rows(ROWS, SHAPE["vocab_size"])
    tokens = sum(len(row.ids) for row in rows)
    data = Dataset.from_list(
        [{"input_ids": r.ids, "completion_mask": [int(n >= r.prompt_tokens) for n in range(len(r.ids))]} for r in rows]
    )
    for size, batch in ((1024, 4), (1024, 8)):
        model = open_model(organ)
        config = SFTConfig(
            output_dir="/tmp/trl",
            bf16=True,
            packing=True,
            max_length=size,
            per_device_train_batch_size=batch,
            num_train_epochs=3,
            learning_rate=1e-4,
            report_to=[],
            save_strategy="no",
            logging_steps=1000,
            gradient_checkpointing=False,
            disable_tqdm=True,
            dataset_num_proc=None,
        )
        lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        trainer = SFTTrainer(
            model, args=config, train_dataset=data, peft_config=lora, processing_class=open_tokenizer(organ)
        )
        trainer.train()
        seconds, peak, _ = clocked(trainer.train)
        report(
            f"train BF16 TRL, packs of {size}, {batch} a step",
            tokens_s=round(3 * tokens / seconds),
            peak_gib=round(peak, 1),
        )
        del trainer, model
        torch.cuda.empty_cache()


def generate_part(organ: Path, report: Callable[..., None], eager_tokens: int) -> None:
    """Tokens a second of one batch, no row of which ends early."""
    from autosurgeon.capsule.decode import Engine, Row

    model, tokenizer = open_model(organ).eval(), open_tokenizer(organ)
    rng = random.Random(1)
    rows = [Row([rng.randrange(10, 700) for _ in range(rng.randint(60, 300))], False, 0) for _ in range(PROMPTS)]
    slots = max(len(row.ids) for row in rows) + NEW_TOKENS
    engine = Engine(model, tokenizer, rows=PROMPTS, slots=slots, temperature=0)
    engine._ends = torch.tensor([-1], device="cuda")  # random weights may say the end token at any time
    for name in ("cold", "warm"):
        seconds, peak, _ = clocked(partial(engine.complete, rows, NEW_TOKENS))
        report(f"generate ours {name}, {PROMPTS} prompts", **rates(PROMPTS * NEW_TOKENS, NEW_TOKENS, seconds, peak))
    del engine
    forget()
    model = open_model(organ).eval()
    for count in (1, PROMPTS):
        seconds, peak, _ = clocked(partial(generate_eagerly, model, rows[:count], eager_tokens))
        what = f"generate transformers, {count} prompts"
        report(what, **rates(count * eager_tokens, eager_tokens, seconds, peak))


def rates(tokens: int, steps: int, seconds: float, peak: float) -> dict[str, float]:
    """The figures of a generation."""
    step = round(1000 * seconds / steps, 2)
    return {"tokens_s": round(tokens / seconds), "ms_a_step": step, "peak_gib": round(peak, 1)}


def generate_eagerly(model: Any, rows: Sequence[Any], tokens: int) -> None:
    """By transformers' own loop, padded on the left."""
    width = max(len(row.ids) for row in rows)
    ids, mask = (torch.zeros((len(rows), width), dtype=torch.long) for _ in range(2))
    for index, row in enumerate(rows):
        ids[index, width - len(row.ids) :] = torch.tensor(row.ids)
        mask[index, width - len(row.ids) :] = 1
    with torch.inference_mode():
        model.generate(
            input_ids=ids.cuda(),
            attention_mask=mask.cuda(),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )


def main() -> None:
    """Print a line a measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--organ", type=Path)
    parser.add_argument("--tiny", action="store_true", help="of the part `pass`: a tiny organ, rows and benches")
    parser.add_argument("--parts", default="train,generate")
    parser.add_argument("--eager-tokens", type=int, default=64)
    chosen = parser.parse_args()

    def report(what: str, **figures: Any) -> None:
        print(f"{what:50} " + json.dumps(figures), flush=True)

    name = "organ-tiny" if chosen.tiny else "organ-0.5b"
    organ = make_organ(chosen.organ or Path(tempfile.gettempdir()) / name, TINY_SHAPE if chosen.tiny else SHAPE)
    if "pass" in chosen.parts:  # first, while this process holds nothing of the GPU
        pass_part(organ, TINY if chosen.tiny else INCIDENT)
    if not {"train", "trl", "generate"} & set(chosen.parts.split(",")):
        return
    rate = matrix_rate()
    report("matrix product", tflop_s=round(rate), gpu=torch.cuda.get_device_name(), torch=torch.__version__)
    if "train" in chosen.parts:
        train_part(organ, report, rate)
    if "trl" in chosen.parts:
        trl_part(organ, report)
    if "generate" in chosen.parts:
        generate_part(organ, report, chosen.eager_tokens)


if __name__ == "__main__":
    main()
