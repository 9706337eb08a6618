"""Weights that are replaced in place give the answers of a fresh process, bit for bit."""

from __future__ import annotations

import gc
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from autosurgeon.capsule.generate import Generator
from autosurgeon.capsule.load_checkpoint import open_model
from autosurgeon.capsule.merge import merge
from autosurgeon.capsule.prove_decode import prove_decode
from autosurgeon.capsule.train import linear_layers
from autosurgeon.config import shipped
from autosurgeon.core.jobs import GenerateJob, MergeJob
from autosurgeon.errors import PackError

LAB = shipped("data", "lab", "base")
PROMPTS = [f"# Write a function solve(xs): the sum, plus {n}{' and so on' * (n % 5)}.\n" for n in range(6)]


def checkpoint(folder: Path, *, seed: int = 0, hidden: int = 64, **changes: Any) -> Path:
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(LAB)
    shape = {"hidden_size": hidden, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = Qwen2Config(
        vocab_size=768, intermediate_size=96, tie_word_embeddings=True, eos_token_id=1, **(shape | changes)
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def adapter(folder: Path, base: Path, *, seed: int, rank: int = 4) -> Path:
    torch.manual_seed(seed)
    model = open_model(base)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=linear_layers(model), task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    adapted.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base, two adapters of one shape and one of another, a pack, and a model of another kind."""
    root = tmp_path_factory.mktemp("world")
    base = checkpoint(root / "base")
    found = {"base": base, "other": checkpoint(root / "other", hidden=32)}
    for name, seed, rank in (("a", 1, 4), ("b", 2, 4), ("wide", 3, 8)):
        found[name] = adapter(root / name, base, seed=seed, rank=rank)
    result = merge(MergeJob(base=base, adapter=found["a"]), root)
    found["pack"] = root / result.model
    prompts = root / "prompts.jsonl"
    rows = [{"task_id": str(n), "prompt": prompt, "stop": "end"} for n, prompt in enumerate(PROMPTS)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found["prompts"] = prompts
    found["some"] = root / "some.jsonl"
    found["some"].write_text("".join(json.dumps(row) + "\n" for row in rows[::2]))
    return found


def job(world: dict[str, Path], model: str, on_it: str | None = None, **changes: Any) -> GenerateJob:
    content = {
        "model": world[model],
        "adapter": None if on_it is None else world[on_it],
        "prompts": world["prompts"],
        "max_new_tokens": 6,
        "batch_rows": 4,
    }
    return GenerateJob.model_validate(content | changes)


class RecordingGenerator:
    """A generator that records the logits of every choice of a token, except in graphs."""

    def __init__(self, folder: Path) -> None:
        self._generator = Generator()
        self._folder = folder

    def run(self, wanted: GenerateJob) -> tuple[str, str, list[torch.Tensor]]:
        self._folder.mkdir(exist_ok=True)
        logits: list[torch.Tensor] = []
        hook = torch.nn.modules.module.register_module_forward_hook(
            lambda module, given, out: logits.append(out.clone()) if out_is_logits(module) else None
        )

        def prove(model: Any, tokenizer: Any) -> Any:
            found = prove_decode(model, tokenizer)
            logits.clear()  # a resident capsule proves its decode loop once
            return found

        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("autosurgeon.capsule.generate.prove_decode", prove)
                result = self._generator.run(wanted, self._folder)
        finally:
            hook.remove()
        if torch.cuda.is_available():
            logits.clear()
        return result.fingerprint, (self._folder / result.completions).read_text(), logits


def out_is_logits(module: Any) -> bool:
    return isinstance(module, torch.nn.Linear) and module.out_features == 768


def same(one: tuple[str, str, list[torch.Tensor]], other: tuple[str, str, list[torch.Tensor]]) -> bool:
    return one[:2] == other[:2] and all(torch.equal(a, b) for a, b in zip(one[2], other[2], strict=True))


def test_a_jobs_result_is_bit_identical_regardless_of_earlier_jobs(tmp_path: Path, world: dict[str, Path]) -> None:
    resident = RecordingGenerator(tmp_path / "resident")
    sampled: dict[str, Any] = {"temperature": 0.8, "samples": 3, "seed": 5}
    jobs = [
        job(world, "base"),
        job(world, "base", "a"),
        job(world, "pack"),
        job(world, "base"),
        job(world, "base", "b", prompts=world["some"]),
        job(world, "base", "a", **sampled),
        job(world, "pack", **sampled),
        job(world, "pack", max_new_tokens=16),
        job(world, "base", "wide"),
        job(world, "other"),
        job(world, "base", batch_rows=3),
    ]
    found = [resident.run(one) for one in jobs]
    for one, seen in zip(jobs, found, strict=True):
        assert same(RecordingGenerator(tmp_path / "fresh").run(one), seen), one
    plain, adapted, packed, again = found[:4]
    assert same(plain, again)
    if not torch.cuda.is_available():
        assert not same(plain, adapted)
        assert not same(adapted, packed)  # the pack was rounded


def test_the_slot_is_kept_for_base_adapters_and_packs_of_one_kind(tmp_path: Path, world: dict[str, Path]) -> None:
    generator = Generator()
    generator.run(job(world, "base", "a"), tmp_path)
    slot, engine = generator._slot, generator._engine
    for other in (job(world, "pack"), job(world, "base", "b"), job(world, "base", prompts=world["some"])):
        generator.run(other, tmp_path)
        assert generator._slot is slot
    assert engine is not None
    generator.run(job(world, "base", "wide"), tmp_path)
    assert generator._slot is not slot


def test_new_content_under_the_same_path_is_loaded(tmp_path: Path, world: dict[str, Path]) -> None:
    folder = tmp_path / "model"
    shutil.copytree(world["base"], folder)
    resident, wanted = RecordingGenerator(tmp_path / "resident"), job(world | {"model": folder}, "model")
    before = resident.run(wanted)
    stat = (folder / "model.safetensors").stat()
    shutil.copyfile(world["pack"] / "model.safetensors", folder / "model.safetensors")
    os.utime(folder / "model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = resident.run(wanted)
    assert not same(before, after)
    assert same(after, RecordingGenerator(tmp_path / "fresh").run(job(world, "pack")))


def test_a_checkpoint_that_lacks_a_tensor_is_refused_also_where_another_model_is_in_memory(
    tmp_path: Path, world: dict[str, Path]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(world["base"], folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    resident = RecordingGenerator(tmp_path / "resident")
    before = resident.run(job(world, "base"))
    with pytest.raises(PackError, match=r"no model\.layers\.1\.mlp\.up_proj\.weight"):
        resident.run(job(world | {"model": folder}, "model"))
    assert same(resident.run(job(world, "base")), before)


def test_nan_in_one_model_does_not_affect_later_jobs(tmp_path: Path, world: dict[str, Path]) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(world["base"], broken)
    tensors = load_file(broken / "model.safetensors")
    tensors["model.layers.0.self_attn.v_proj.weight"].fill_(torch.inf)
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    resident = RecordingGenerator(tmp_path / "resident")
    resident.run(job(world | {"model": broken}, "model"))
    assert same(resident.run(job(world, "base")), RecordingGenerator(tmp_path / "fresh").run(job(world, "base")))


def test_an_adapter_without_weights_is_refused(tmp_path: Path, world: dict[str, Path]) -> None:
    with pytest.raises(PackError, match=r"an adapter is incomplete.*adapter_model"):
        Generator().run(job(world | {"none": tmp_path}, "base", "none"), tmp_path)


def test_fifty_jobs_need_no_more_memory_than_a_few(tmp_path: Path, world: dict[str, Path]) -> None:
    generator = Generator()
    jobs = [
        job(world, "base", "a", max_new_tokens=2),
        job(world, "pack", max_new_tokens=2),
        job(world, "pack", prompts=world["some"], temperature=0.5, max_new_tokens=10),
    ]

    def after(times: int) -> int:
        for number in range(times):
            generator.run(jobs[number % len(jobs)], tmp_path)
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    warm = after(10)
    assert after(50) - warm < 8 << 20
