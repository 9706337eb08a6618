"""Adapters derived from adapters: their merges agree with the formulas, on the lab's real base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.intruders import reduce_intruder_dimension
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from autosurgeon.capsule.__main__ import run_job
from autosurgeon.capsule.merge import merge, read_adapter
from autosurgeon.capsule.model_slot import adapter_kind
from autosurgeon.capsule.reshape import layer_of, reshape
from autosurgeon.config import shipped
from autosurgeon.core.jobs import MergeJob, Outcome, ReshapeJob
from autosurgeon.errors import PackError

BASE = shipped("data", "lab", "base")
LAYERS = 4


def random_adapter(folder: Path, seed: int = 0, std: float = 0.02, **config: Any) -> Path:
    """An adapter whose both halves are random."""
    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"]} | config
    adapted = get_peft_model(model, LoraConfig(**options))
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=std)
    adapted.save_pretrained(folder)
    return folder


def with_an_embedding(adapter: Path) -> Path:
    """The adapter with a pair on what is in no layer."""
    shape = weights_of(BASE)["model.embed_tokens.weight"].shape
    state = load_file(adapter / "adapter_model.safetensors")
    stem = "base_model.model.model.embed_tokens"
    state |= {f"{stem}.lora_A.weight": torch.randn(4, shape[1]), f"{stem}.lora_B.weight": torch.randn(shape[0], 4)}
    save_file(state, adapter / "adapter_model.safetensors")
    return adapter


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model.safetensors"))


def deltas_of(folder: Path) -> dict[str, torch.Tensor]:
    """What an adapter adds to each matrix, in FP32."""
    pairs, scale, _ = read_adapter(folder)
    return {name: (b.float() @ a.float()) * scale for name, (a, b) in pairs.items()}


def reshaped(folder: Path, method: str, *adapters: Path, factor: float = 1.0) -> Path:
    folder.mkdir()
    job = ReshapeJob.model_validate({"method": method, "base": BASE, "adapters": adapters, "factor": factor})
    result = reshape(job, folder)
    assert result.pairs == len(read_adapter(folder / result.adapter).pairs)
    return folder / result.adapter


def merged(folder: Path, adapter: Path) -> dict[str, torch.Tensor]:
    folder.mkdir()
    merge(MergeJob(base=BASE, adapter=adapter), folder)
    return weights_of(folder / "model")


@pytest.mark.parametrize("rslora", [False, True])
def test_an_adapter_at_half_scale_merges_to_the_parent_plus_half_the_delta_bit_identically(
    tmp_path: Path, rslora: bool
) -> None:
    adapter = random_adapter(tmp_path / "adapter", use_rslora=rslora)
    half = reshaped(tmp_path / "half", "scale", adapter, factor=0.5)
    base, deltas = weights_of(BASE), deltas_of(adapter)
    got = merged(tmp_path / "merged", half)
    for name, tensor in got.items():
        wanted = base[name].float()
        if name in deltas:
            wanted = wanted + 0.5 * deltas[name]
        assert torch.equal(tensor, wanted.to(torch.bfloat16)), name
    assert any(not torch.equal(got[name], base[name]) for name in deltas)
    # The same rank, alpha and shapes: a resident capsule can replace one by the other.
    configs = [json.loads((folder / "adapter_config.json").read_text()) for folder in (adapter, half)]
    assert configs[0] == configs[1]


def test_a_factor_of_zero_gives_the_parent_and_a_factor_of_one_the_adapter(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    base, whole = weights_of(BASE), merged(tmp_path / "as-trained", adapter)
    none = merged(tmp_path / "m0", reshaped(tmp_path / "zero", "scale", adapter, factor=0.0))
    same = merged(tmp_path / "m1", reshaped(tmp_path / "one", "scale", adapter, factor=1.0))
    assert all(torch.equal(none[name], base[name]) for name in base)
    assert all(torch.equal(same[name], whole[name]) for name in whole)


def test_lines_rise_from_the_factor_in_the_first_layer_to_one_in_the_last(tmp_path: Path) -> None:
    adapter = with_an_embedding(random_adapter(tmp_path / "adapter"))
    before, after = deltas_of(adapter), deltas_of(reshaped(tmp_path / "lines", "lines", adapter, factor=0.25))
    for name, delta in before.items():
        layer = layer_of(name)
        factor = 0.25 if layer is None else 0.25 + 0.75 * layer / (LAYERS - 1)
        torch.testing.assert_close(after[name], factor * delta)
    assert {layer_of(name) for name in before} == {None, *range(LAYERS)}


def test_an_average_is_the_mean_of_the_deltas_for_any_ranks_and_layers(tmp_path: Path) -> None:
    adapters = [
        random_adapter(tmp_path / "a", 1),
        random_adapter(tmp_path / "b", 2, r=2, lora_alpha=2),
        random_adapter(tmp_path / "c", 3, r=3, use_rslora=True, target_modules=["q_proj", "up_proj"]),
    ]
    mean = reshaped(tmp_path / "mean", "average", *adapters)
    deltas, found = [deltas_of(adapter) for adapter in adapters], deltas_of(mean)
    assert set(found) == {name for delta in deltas for name in delta}
    for name, tensor in found.items():
        wanted = sum(delta.get(name, torch.zeros_like(tensor)) for delta in deltas) / 3
        torch.testing.assert_close(tensor, wanted, rtol=1e-5, atol=1e-7)
    # The result is a plain adapter: peft reads it, and its merge equals the streamed one.
    model: Any = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.bfloat16)
    wanted_weights = PeftModel.from_pretrained(model, str(mean)).merge_and_unload().state_dict()
    got = merged(tmp_path / "merged", mean)
    assert all(torch.equal(got[name], wanted_weights[name]) for name in got)


def test_intruders_are_removed_as_in_peft(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter", std=0.2)
    found = deltas_of(reshaped(tmp_path / "reduced", "intruders", adapter))
    model: Any = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32), str(adapter)
    )
    reduce_intruder_dimension(model, logging_sink=None)
    before, changed = deltas_of(adapter), 0
    for name, delta in found.items():
        layer = model.base_model.model.get_submodule(name.removesuffix(".weight"))
        wanted = layer.get_delta_weight("intruder_reduced").detach()
        torch.testing.assert_close(delta, wanted, rtol=1e-3, atol=2e-4)
        changed += not torch.allclose(delta, before[name], atol=1e-3)
    assert changed, "the adapter had no intruder, so nothing was tested"


def test_an_adapter_without_intruders_does_not_change(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter", std=0.001)
    (tmp_path / "work").mkdir()
    result = reshape(ReshapeJob(method="intruders", base=BASE, adapters=(adapter,)), tmp_path / "work")
    assert (result.pairs, result.changed) == (2 * LAYERS, 0)


def test_a_scaled_adapter_is_reproducible_and_of_a_kind_that_a_resident_capsule_accepts(
    tmp_path: Path,
) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    rows = tmp_path / "adapter" / "adapter_config.json"
    rows.write_text(json.dumps(json.loads(rows.read_text()), indent=1, sort_keys=True) + "\n")  # as a training saves it
    one, two = (reshaped(tmp_path / name, "scale", adapter, factor=0.5) for name in ("one", "two"))
    assert (one / "adapter_model.safetensors").read_bytes() == (two / "adapter_model.safetensors").read_bytes()
    assert adapter_kind(one) == adapter_kind(adapter)


def test_the_capsule_runs_a_reshape_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a capsule works in its job's folder
    (tmp_path / "work").mkdir()
    job = ReshapeJob(method="scale", base=BASE, adapters=(random_adapter(tmp_path / "adapter"),), factor=0.5)
    (tmp_path / "work" / "job.json").write_text(job.model_dump_json())
    assert run_job(tmp_path / "work" / "job.json") == 0
    outcome = Outcome.model_validate_json((tmp_path / "work" / "outcome.json").read_bytes())
    assert outcome.result is not None
    assert outcome.result.verb == "reshape"


def test_an_adapter_of_another_model_is_refused_by_name(tmp_path: Path) -> None:
    adapter = random_adapter(tmp_path / "adapter")
    state = load_file(adapter / "adapter_model.safetensors")
    save_file(
        {name.replace("layers.0", "layers.9"): t for name, t in state.items()}, adapter / "adapter_model.safetensors"
    )
    with pytest.raises(PackError, match=r"layers\.9"):
        reshape(ReshapeJob(method="scale", base=BASE, adapters=(adapter,), factor=0.5), tmp_path)
