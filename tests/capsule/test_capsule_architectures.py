"""Every architecture is trained, merged and generated as plain transformers and peft do it, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from architectures import ARCHITECTURES, make_tiny
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from transformers import AutoModelForCausalLM

from autosurgeon.capsule.batches import TokenRow, tokenize_rows
from autosurgeon.capsule.compare_models import compare
from autosurgeon.capsule.generate import generate
from autosurgeon.capsule.load_checkpoint import open_model, open_tokenizer
from autosurgeon.capsule.lora import use_fast_layers, use_own_layers
from autosurgeon.capsule.merge import merge
from autosurgeon.capsule.plain_decode import UncachedEngine
from autosurgeon.capsule.prove_decode import Loop, prove_decode
from autosurgeon.capsule.reshape import reshape
from autosurgeon.capsule.train import train
from autosurgeon.core.jobs import CompareJob, GenerateJob, GenerateResult, MergeJob, ReshapeJob, TrainJob, TrainResult
from autosurgeon.core.recipe import Quantization
from autosurgeon.errors import PackError
from autosurgeon.packs.gguf_export import export_gguf

ROWS = [
    ("# Write a function solve(xs): twice.\n", "def solve(xs):\n    return xs * 2\n"),
    ("# A sum:\n", "def solve(xs):\n    return sum(xs)\n"),
    (
        "# Write a function solve(xs): the length of the list and of all of its parts.\n",
        "def solve(xs):\n    return len(xs)\n",
    ),
]
# One of each way to differ from Llama: head, norm, window, soft cap, fused matrices, bias, no layout, recurrence.
QUICK = "exaone gemma2 gemma3_text gpt2 gpt_neox granite jamba llama4_text mistral phi stablelm".split()  # noqa: SIM905
KINDS = [pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in ARCHITECTURES]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "architectures.md"
NEW_TOKENS = 12


def plain(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def train_one_step(base: Path, workdir: Path) -> TrainResult:
    workdir.mkdir()
    rows = workdir / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": p, "completion": c}) + "\n" for p, c in ROWS))
    content = {"base": base, "rows": rows, "epochs": 1, "lr": 0.01, "rank": 2, "alpha_ratio": 2.0}
    content |= {"quantization": Quantization.NONE, "batch_rows": 3, "max_tokens": 128, "seed": 3}
    return train(TrainJob.model_validate(content), workdir)


def loss_of(model: Any, rows: list[TokenRow]) -> torch.Tensor:
    """The mean loss of learned tokens, row by row, without padding."""
    losses = []
    for row in rows:
        logits = model(input_ids=torch.tensor([row.ids]), use_cache=False).logits[0]
        losses.append(
            cross_entropy(
                logits[row.prompt_tokens - 1 : -1], torch.tensor(row.ids[row.prompt_tokens :]), reduction="none"
            )
        )
    return torch.cat(losses).mean()


def check_training(base: Path, workdir: Path) -> tuple[str, ...]:
    result = train_one_step(base, workdir)
    config = json.loads((workdir / "adapter" / "adapter_config.json").read_text())
    model = plain(base)
    torch.manual_seed(3)
    lora = LoraConfig(
        r=2,
        lora_alpha=4,
        target_modules=config["target_modules"],
        fan_in_fan_out=config["fan_in_fan_out"],
        task_type="CAUSAL_LM",
    )
    tuned = get_peft_model(model, lora).eval()
    loss = loss_of(tuned, tokenize_rows(open_tokenizer(base), ROWS, 128))
    assert result.loss == pytest.approx(float(loss.detach()), rel=1e-4)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [weight.grad for weight in tuned.parameters() if weight.grad is not None]
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    assert result.gradient_norm == pytest.approx(float(norm), rel=1e-3)
    check_layers(tuned)
    return result.replaced


def check_layers(tuned: Any) -> None:
    """The layers that a GPU uses are those of transformers and peft."""
    ids = torch.arange(2, 30)[None]
    with torch.no_grad():
        wanted = tuned(input_ids=ids, use_cache=False).logits
        use_fast_layers(tuned)
        torch.testing.assert_close(tuned(input_ids=ids, use_cache=False).logits, wanted, rtol=1e-3, atol=1e-4)
    use_own_layers(tuned)


def check_merge(base: Path, adapter: Path, workdir: Path) -> Path:
    workdir.mkdir()
    merge(MergeJob(base=base, adapter=adapter), workdir)
    merged = PeftModel.from_pretrained(plain(base), str(adapter)).merge_and_unload().to(torch.bfloat16)
    merged.save_pretrained(workdir / "wanted")
    wanted = load_file(workdir / "wanted" / "model.safetensors")
    found = load_file(workdir / "model" / "model.safetensors")
    assert found.keys() == wanted.keys()
    before = load_file(base / "model.safetensors")
    assert any(not torch.equal(found[name], before[name]) for name in found)
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=0.01, atol=1e-6)
    return workdir / "model"


def answers(folder: Path, adapter: Path | None, workdir: Path, **changes: Any) -> tuple[list[str], GenerateResult]:
    workdir.mkdir(exist_ok=True)
    prompts = workdir / "prompts.jsonl"
    lines = [{"task_id": f"t/{n}", "prompt": prompt, "stop": "text"} for n, (prompt, _) in enumerate(ROWS)]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    content = {"model": folder, "adapter": adapter, "prompts": prompts, "max_new_tokens": NEW_TOKENS, "batch_rows": 8}
    result = generate(GenerateJob.model_validate(content | changes), workdir)
    found = (workdir / "completions.jsonl").read_text().splitlines()
    return [json.loads(line)["completion"] for line in found], result


def check_generation(folder: Path, adapter: Path | None, workdir: Path) -> tuple[str, ...]:
    found, result = answers(folder, adapter, workdir)
    model, tokenizer = plain(folder), open_tokenizer(folder)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter)).eval()
    for (prompt, _), completion in zip(ROWS, found, strict=True):
        ids = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        whole = model.generate(**ids, max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0)
        assert completion == tokenizer.decode(whole[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    return result.replaced


def check_samples(folder: Path, workdir: Path) -> None:
    """Draws are those of the model's own forward pass over each whole row."""
    found, _ = answers(folder, None, workdir, temperature=0.7, seed=4)
    with pytest.MonkeyPatch.context() as patch:
        loop = Loop(UncachedEngine, "own")
        patch.setattr("autosurgeon.capsule.generate.prove_decode", lambda model, tokenizer: (loop, None))
        wanted, _ = answers(folder, None, workdir, temperature=0.7, seed=4)
    assert found == wanted


def check_fidelity(base: Path, adapter: Path, pack: Path, workdir: Path) -> None:
    rows = workdir.parent / "train" / "rows.jsonl"
    result = compare(CompareJob(a=base, a_adapter=adapter, b=pack, rows=rows, batch_rows=3, max_tokens=128), workdir)
    assert result.missing_tensors == result.foreign_tensors == ()
    assert result.kl is not None
    assert result.kl < 0.05  # the pack is rounded to BF16, after which an expert may change


def exports(pack: Path, out: Path) -> bool:
    """Whether a pack is exported; another is refused by the name of its architecture."""
    try:
        export_gguf(pack, "0" * 64, out)
    except PackError as error:
        assert json.loads((pack / "config.json").read_text())["model_type"] in str(error)
        return False
    return True


def documented() -> dict[str, list[str]]:
    """The table's cells by the kind of model."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows if row[0] != "model_type"}


def test_every_tested_architecture_is_documented() -> None:
    assert sorted(documented()) == sorted(ARCHITECTURES)


@pytest.mark.parametrize("kind", KINDS)
def test_an_architecture_is_what_transformers_and_peft_make_of_it(kind: str, tmp_path: Path) -> None:
    base = make_tiny(kind, tmp_path / "base")
    generated = check_generation(base, None, tmp_path / "plain")
    trained = check_training(base, tmp_path / "train")
    adapter = tmp_path / "train" / "adapter"
    check_generation(base, adapter, tmp_path / "adapted")
    pack = check_merge(base, adapter, tmp_path / "merge")
    check_fidelity(base, adapter, pack, tmp_path / "merge")
    assert check_generation(pack, None, tmp_path / "packed") == generated
    check_samples(pack, tmp_path / "packed")
    gguf = exports(pack, tmp_path / "pack.gguf")
    row = [", ".join(generated) or "fast", ", ".join(trained) or "fast", "yes" if gguf else "no"]
    assert documented()[kind] == row


def test_a_fast_loop_that_differs_is_replaced_and_is_in_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = make_tiny("qwen3", tmp_path / "base")
    texts, fast = answers(base, None, tmp_path / "fast")
    capsys.readouterr()

    def uncausal(query: Any, key: Any, value: Any, scale: float, window: int | None) -> torch.Tensor:
        return scaled_dot_product_attention(query, key, value, scale=scale, enable_gqa=True)

    monkeypatch.setattr("autosurgeon.capsule.attention.attend_causally", uncausal)
    again, replaced = answers(base, None, tmp_path / "replaced")
    assert again == texts
    assert (fast.replaced, replaced.replaced) == ((), ("decode",))
    assert fast.fingerprint != replaced.fingerprint
    assert capsys.readouterr().err.count("is not used for Qwen3ForCausalLM: its logits differ") == 1


@pytest.mark.parametrize(("kind", "replaced"), [("llama", ()), ("gemma", ("layers",))])
def test_layers_that_differ_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, replaced: tuple[str, ...]
) -> None:
    """Gemma's norm multiplies by one more than its weight, and here nothing looks at each norm alone."""
    for module in ("prove_decode", "prove_training"):
        monkeypatch.setattr(f"autosurgeon.capsule.{module}.available_layers", lambda device: ("fast", "own"))
    monkeypatch.setattr("autosurgeon.capsule.lora._is_rms_norm", lambda module: True)
    base = make_tiny(kind, tmp_path / "base")
    assert check_generation(base, None, tmp_path / "plain") == replaced
    assert train_one_step(base, tmp_path / "train").replaced == replaced


@pytest.mark.parametrize(("kind", "replaced"), [("llama", ()), ("mistral", ()), ("gemma2", ("decode",))])
def test_a_proof_in_bf16_knows_rounding_from_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, replaced: tuple[str, ...]
) -> None:
    monkeypatch.setattr("autosurgeon.capsule.load_checkpoint.compute_dtype", lambda device: torch.bfloat16)
    base = make_tiny(kind, tmp_path / "base")
    assert prove_decode(open_model(base).eval(), open_tokenizer(base))[0].replaced == replaced


def test_a_proof_is_paid_once_for_a_model_and_its_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSURGEON_PARENT", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    base = make_tiny("gemma2", tmp_path / "base")
    _, first = answers(base, None, tmp_path / "plain")
    trained = train_one_step(base, tmp_path / "train")
    kept = sorted((tmp_path / "home" / "proofs").iterdir())
    assert len(kept) == 2
    with monkeypatch.context() as patch:
        for name in ("prove_decode._agrees", "prove_training._fastest"):
            patch.setattr(f"autosurgeon.capsule.{name}", lambda *_: pytest.fail("proven again"))
        assert train_one_step(base, tmp_path / "again").replaced == trained.replaced == ("packing",)
        merge(MergeJob(base=base, adapter=tmp_path / "train" / "adapter"), tmp_path / "train")
        _, packed = answers(tmp_path / "train" / "model", None, tmp_path / "packed")
    assert packed.fingerprint == first.fingerprint
    for file in kept:
        file.write_text('["Eng')
    assert answers(base, None, tmp_path / "anew")[1].replaced == ("decode",)


def test_memory_that_runs_out_in_a_proof_is_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_tiny("qwen3", tmp_path / "base")

    def full(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("autosurgeon.capsule.attention.attend_causally", full)
    with pytest.raises(torch.OutOfMemoryError):
        prove_decode(open_model(base), open_tokenizer(base))


def test_a_scaled_adapter_of_transposed_matrices_merges_to_a_part_of_its_delta(tmp_path: Path) -> None:
    base = make_tiny("gpt2", tmp_path / "base")
    train_one_step(base, tmp_path / "train")
    adapter = tmp_path / "train" / "adapter"
    (tmp_path / "half").mkdir()
    reshape(ReshapeJob(method="scale", base=base, adapters=(adapter,), factor=0.5), tmp_path / "half")
    merge(MergeJob(base=base, adapter=tmp_path / "half" / "adapter"), tmp_path / "half")
    merge(MergeJob(base=base, adapter=adapter), tmp_path / "train")
    name = "transformer.h.0.attn.c_attn.weight"
    folders = (base, tmp_path / "half" / "model", tmp_path / "train" / "model")
    none, half, whole = (load_file(folder / "model.safetensors")[name] for folder in folders)
    torch.testing.assert_close(half.float(), (none.float() + whole.float()) / 2, rtol=0.01, atol=1e-3)
    assert not torch.equal(half, none)


@pytest.mark.parametrize(("kind", "prefix"), [("gpt2", "transformer."), ("llama", "model.")])
def test_a_base_whose_names_lack_their_first_part_is_trained_and_merged(tmp_path: Path, kind: str, prefix: str) -> None:
    base = make_tiny(kind, tmp_path / "base")
    file = base / "model.safetensors"
    weights = {name.removeprefix(prefix): tensor.clone() for name, tensor in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})
    train_one_step(base, tmp_path / "train")
    adapter = tmp_path / "train" / "adapter"
    method: Literal["scale", "intruders"]
    for method in ("scale", "intruders"):
        (tmp_path / method).mkdir()
        reshape(ReshapeJob(method=method, base=base, adapters=(adapter,)), tmp_path / method)
        assert (tmp_path / method / "adapter").is_dir()
    merge(MergeJob(base=base, adapter=adapter), tmp_path / "train")
    pack = tmp_path / "train" / "model"
    assert load_file(pack / "model.safetensors").keys() == weights.keys()
    check_fidelity(base, adapter, pack, tmp_path / "train")
    check_generation(pack, None, tmp_path / "packed")
