"""A checkpoint whose files and model disagree is refused by name before anything else is done with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from organs import write_tiny_organ
from program import autosurgeon
from safetensors.torch import load_file, save_file

from autosurgeon.capsule.load_checkpoint import open_model
from autosurgeon.capsule.open_checkpoint import open_checkpoint
from autosurgeon.config import shipped
from autosurgeon.core.jobs import OpenJob
from autosurgeon.errors import PackError
from autosurgeon.packs.checkpoint import check_base

Tensors = dict[str, torch.Tensor]
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_organ(tmp_path_factory.mktemp("sound") / "organ")


@pytest.fixture
def organ(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "organ"))


def tensors(change: Callable[[Tensors], Tensors]) -> Callable[[Path], None]:
    def apply(organ: Path) -> None:
        save_file(change(load_file(organ / WEIGHTS)), organ / WEIGHTS, metadata={"format": "pt"})

    return apply


def fields(name: str, **changes: Any) -> Callable[[Path], None]:
    """Change the fields of a JSON file; None removes one."""

    def apply(organ: Path) -> None:
        content = json.loads((organ / name).read_text()) | changes
        (organ / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return apply


def without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda all_of_them: {key: value for key, value in all_of_them.items() if key != name}


def filled(name: str, value: float) -> Callable[[Tensors], Tensors]:
    def change(all_of_them: Tensors) -> Tensors:
        all_of_them[name][0] = value
        return all_of_them

    return change


NORM, UP = "model.norm.weight", "model.layers.1.mlp.up_proj.weight"
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "names of a compiled model": (
        tensors(lambda all_of_them: {f"_orig_mod.{name}": value for name, value in all_of_them.items()}),
        r"no lm_head\.weight \(and \d+ more\), which the model has; _orig_mod\.model\.",
    ),
    "names of a wrapped model": (
        tensors(lambda all_of_them: {f"module.{name}": value for name, value in all_of_them.items()}),
        r"module\.model\.",
    ),
    "a tensor is missing": (tensors(without(UP)), UP),
    "the final norm is missing": (tensors(without(NORM)), NORM),
    "a tensor too many": (tensors(lambda found: found | {"model.layers.7.x": torch.zeros(3)}), r"layers\.7\.x"),
    "a tensor of another shape": (tensors(lambda found: found | {NORM: torch.ones(7)}), r"\(7,\) for \(64,\)"),
    "fewer layers in the config": (fields("config.json", num_hidden_layers=1), r"model\.layers\.1\."),
    "more layers in the config": (fields("config.json", num_hidden_layers=3), r"model\.layers\.2\."),
    "another width in the config": (fields("config.json", intermediate_size=96), "of shape"),
    "a larger vocabulary in the config": (fields("config.json", vocab_size=800), "embed_tokens"),
    "an untied head that is not there": (fields("config.json", tie_word_embeddings=False), r"lm_head\.weight"),
    "not a number": (tensors(filled(UP, float("nan"))), "NaN or infinity in " + UP),
    "infinity": (tensors(filled(NORM, float("inf"))), "NaN or infinity in " + NORM),
    "a leftover quantization": (
        fields("config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        "quantization_config",
    ),
    "no such architecture": (fields("config.json", model_type="nonesuch"), "transformers cannot open config.json"),
    "no model type": (fields("config.json", model_type=None, architectures=None), "transformers cannot open"),
    "no causal model": (fields("config.json", model_type="t5", architectures=None), "transformers cannot open"),
    "heads that do not divide the width": (fields("config.json", num_attention_heads=5), "(of shape|cannot open)"),
    "no end token": (
        fields("tokenizer_config.json", eos_token=None, special_tokens_map=None, extra_special_tokens=None),
        "names no end token of the model",
    ),
    "a tokenizer that is cut short": (
        lambda organ: (organ / "tokenizer.json").write_bytes((organ / "tokenizer.json").read_bytes()[:500]),
        "transformers cannot open tokenizer.json",
    ),
    "a tokenizer of a larger model": (
        tensors(lambda found: found | {"model.embed_tokens.weight": found["model.embed_tokens.weight"][:700]}),
        "embed_tokens",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_checkpoint_is_refused_by_name(organ: Path, tmp_path: Path, kind: str) -> None:
    harm, message = BROKEN[kind]
    harm(organ)
    with pytest.raises(PackError, match=message):
        open_checkpoint(OpenJob(model=organ), tmp_path)


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused(organ: Path, tmp_path: Path) -> None:
    tensors(lambda found: found | {"model.embed_tokens.weight": found["model.embed_tokens.weight"][:700]})(organ)
    fields("config.json", vocab_size=700)(organ)
    with pytest.raises(PackError, match=r"token \d+ .* of tokenizer.json, and an embedding of 700 rows"):
        open_checkpoint(OpenJob(model=organ), tmp_path)


@pytest.mark.parametrize(
    "normalizer",
    [
        {"type": "Lowercase"},
        {"type": "Strip", "strip_left": False, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
    ],
)
def test_a_tokenizer_that_loses_parts_of_programs_is_refused(tmp_path: Path, normalizer: dict[str, Any]) -> None:
    organ = Path(shutil.copytree(shipped("data", "lab", "base"), tmp_path / "organ"))
    fields("tokenizer.json", normalizer=normalizer)(organ)
    with pytest.raises(PackError, match=r"does not keep the line breaks, blanks and letters.*got.*def solve"):
        open_checkpoint(OpenJob(model=organ), tmp_path)


def test_a_sound_checkpoint_is_opened_with_its_architecture_and_size(sound: Path, tmp_path: Path) -> None:
    opened = open_checkpoint(OpenJob(model=sound), tmp_path)
    held = sum(tensor.numel() for tensor in load_file(sound / WEIGHTS).values())
    assert (opened.architecture, opened.parameters) == ("Qwen2ForCausalLM", held)


def test_a_padded_vocabulary_is_no_fault(organ: Path, tmp_path: Path) -> None:
    def pad(found: Tensors) -> Tensors:
        rows = found["model.embed_tokens.weight"]
        return found | {"model.embed_tokens.weight": torch.cat([rows, torch.zeros(34, rows.shape[1]).bfloat16()])}

    tensors(pad)(organ)
    fields("config.json", vocab_size=768)(organ)
    assert open_checkpoint(OpenJob(model=organ), tmp_path).parameters > 0
    check_base(organ)


def test_no_model_is_ever_opened_with_tensors_at_random(organ: Path) -> None:
    tensors(without(UP))(organ)
    with pytest.raises(PackError, match=UP):
        open_model(organ)


def test_init_opens_the_organ_in_a_capsule_and_refuses_a_broken_one_with_exit_code_2(
    organ: Path, tmp_path: Path
) -> None:
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("")
    BROKEN["names of a compiled model"][0](organ)
    done = autosurgeon("init", "--organ", organ, "--tasks", tasks, "--workspace", tmp_path / "w")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "_orig_mod.model.embed_tokens.weight" in done.stderr
    assert not (tmp_path / "w" / "autosurgeon.toml").exists()
