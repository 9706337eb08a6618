"""The streaming merge compared with peft's own merge, on the lab's real base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from autosurgeon.capsule.compare_models import compare
from autosurgeon.capsule.load_checkpoint import open_model
from autosurgeon.capsule.merge import merge, read_adapter
from autosurgeon.capsule.nf4 import dequantized, quantized_weights
from autosurgeon.config import shipped
from autosurgeon.core.jobs import CompareJob, MergeJob
from autosurgeon.core.recipe import MergeBase, Quantization
from autosurgeon.core.tensorfile import ALIGNMENT, read_header
from autosurgeon.errors import PackError

BASE = shipped("data", "lab", "base")
SUM = "def solve(xs):\n    return sum(xs)\n"


def random_adapter(folder: Path, *, base: Path = BASE, **config: Any) -> Path:
    """An adapter whose both halves are random, so that merging it changes every adapted weight."""
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"]} | config
    adapted = get_peft_model(model, LoraConfig(**options))
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.02)
    adapted.save_pretrained(folder)
    return folder


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model.safetensors"))


@pytest.mark.parametrize("config", [{}, {"use_rslora": True}, {"r": 1, "lora_alpha": 16}])
def test_a_streamed_merge_is_bit_identical_to_that_of_peft(tmp_path: Path, config: dict[str, Any]) -> None:
    adapter = random_adapter(tmp_path / "adapter", **config)
    merge(MergeJob(base=BASE, adapter=adapter), tmp_path)
    model: Any = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.bfloat16)
    wanted = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().state_dict()
    got = weights_of(tmp_path / "model")
    assert got.keys() == wanted.keys() - {"lm_head.weight"}
    changed = [name for name, tensor in weights_of(BASE).items() if not torch.equal(tensor, got[name])]
    assert len(changed) == 8
    for name, tensor in got.items():
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(tensor, wanted[name]), name


def test_a_dequantized_base_equals_the_weights_that_training_held_in_nf4(tmp_path: Path) -> None:
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    model = open_model(BASE, nf4=True)
    seen = {
        f"{name}.weight": dequantize_4bit(module.weight.data, module.weight.quant_state).float()
        for name, module in model.named_modules()
        if isinstance(module, Linear4bit)
    }
    assert seen.keys() == quantized_weights(BASE)
    weights = weights_of(BASE)
    assert all(torch.equal(dequantized(weights[name]), tensor) for name, tensor in seen.items())
    # Merged: training's W plus the adapter's product, rounded once; layers without an adapter are dequantized.
    adapter = random_adapter(tmp_path / "adapter")
    merge(MergeJob(base=BASE, adapter=adapter, merge_base="dequantized"), tmp_path)
    pairs, scale, _ = read_adapter(adapter)
    for name, tensor in weights_of(tmp_path / "model").items():
        wanted = seen.get(name, weights[name].float())
        if name in pairs:
            wanted = wanted + torch.mm(pairs[name][1], pairs[name][0]).mul_(scale)
        assert torch.equal(tensor, wanted.to(torch.bfloat16)), name


def test_a_dequantized_merge_agrees_with_training_better_than_a_merge_into_the_original(
    tmp_path: Path,
) -> None:
    adapter, rows = random_adapter(tmp_path / "adapter"), tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"prompt": "# Write a function solve(xs): the sum.\n", "completion": SUM * 4}) + "\n")
    found: dict[tuple[str, Quantization], float] = {}
    for merge_base in get_args(MergeBase):
        (tmp_path / merge_base).mkdir()
        merge(MergeJob(base=BASE, adapter=adapter, merge_base=merge_base), tmp_path / merge_base)
        job = CompareJob(
            a=BASE, a_adapter=adapter, b=tmp_path / merge_base / "model", rows=rows, batch_rows=1, max_tokens=256
        )
        for quantization in Quantization:
            result = compare(job.model_copy(update={"quantization": quantization}), tmp_path)
            assert result.kl is not None
            found[merge_base, quantization] = result.kl
    near = max(found["original", Quantization.NONE], found["dequantized", Quantization.NF4])
    far = min(found["original", Quantization.NF4], found["dequantized", Quantization.NONE])
    assert near < 1e-4
    assert far > 20 * near


def test_the_merged_file_starts_its_tensors_at_a_page(tmp_path: Path) -> None:
    merge(MergeJob(base=BASE, adapter=random_adapter(tmp_path / "adapter")), tmp_path)
    assert read_header(tmp_path / "model" / "model.safetensors").data_start % ALIGNMENT == 0


def test_a_base_in_several_files_merges_to_the_same_weights(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    sharded = tmp_path / "sharded"
    shutil.copytree(BASE, sharded)
    weights = weights_of(BASE)
    names = sorted(weights)
    (sharded / "model.safetensors").unlink()
    for number, part in enumerate((names[:20], names[20:]), start=1):
        save_file({name: weights[name] for name in part}, sharded / f"model-0000{number}-of-00002.safetensors")
    for name, base in (("one", BASE), ("two", sharded)):
        (tmp_path / name).mkdir()
        merge(MergeJob(base=base, adapter=adapter), tmp_path / name)
    one, two = weights_of(tmp_path / "one" / "model"), weights_of(tmp_path / "two" / "model")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_base_in_fp32_is_rounded_to_bf16_once(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    wide = tmp_path / "wide"
    shutil.copytree(BASE, wide)
    (wide / "model.safetensors").unlink()
    save_file({name: tensor.float() for name, tensor in weights_of(BASE).items()}, wide / "model.safetensors")
    (tmp_path / "out").mkdir()
    merge(MergeJob(base=wide, adapter=adapter), tmp_path / "out")
    merge(MergeJob(base=BASE, adapter=adapter), tmp_path)
    got, wanted = weights_of(tmp_path / "out" / "model"), weights_of(tmp_path / "model")
    assert all(torch.equal(got[name], wanted[name]) for name in wanted)


def test_an_adapter_that_changes_the_arithmetic_is_refused_by_name(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text())
    for key, value in (("use_dora", True), ("bias", "all"), ("modules_to_save", ["lm_head"]), ("peft_type", "IA3")):
        (adapter / "adapter_config.json").write_text(json.dumps(config | {key: value}))
        with pytest.raises(PackError, match=key):
            merge(MergeJob(base=BASE, adapter=adapter), tmp_path)


def test_an_adapter_for_another_base_is_refused(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    state = load_file(adapter / "adapter_model.safetensors")
    renamed = {name.replace("layers.0.", "layers.77."): tensor for name, tensor in state.items()}
    save_file(renamed, adapter / "adapter_model.safetensors")
    with pytest.raises(PackError, match="does not fit its base"):
        merge(MergeJob(base=BASE, adapter=adapter), tmp_path)


def test_a_truncated_base_is_refused(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    short = tmp_path / "short"
    shutil.copytree(BASE, short)
    weights = short / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-2])
    with pytest.raises(PackError, match="cut short"):
        merge(MergeJob(base=short, adapter=adapter), tmp_path)


def test_the_chat_template_of_a_base_goes_with_its_merged_model(tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(BASE, base)
    (base / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    merge(MergeJob(base=base, adapter=random_adapter(tmp_path / "adapter")), tmp_path)
    assert (tmp_path / "model" / "chat_template.jinja").read_text(encoding="utf-8") == "{{ messages }}"
