"""A tokenizer in the form of llama.cpp, and the tokenizers that are refused because tokens would differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ggufpacks import CONFIG, QWEN2, checkpoint
from transformers import AutoTokenizer

from autosurgeon.errors import PackError
from autosurgeon.packs.gguf_vocabulary import (
    CONTROL,
    NORMAL,
    UNUSED,
    USER_DEFINED,
    Vocabulary,
    _splitter,
    read_vocabulary,
)

ROWS = CONFIG["vocab_size"]
GPT2: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BEGINS = [{"SpecialToken": {"id": "<eos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]


def vocabulary(
    folder: Path, change: Callable[[dict[str, Any]], object], *, model_type: str = "llama", **config: Any
) -> Vocabulary:
    """Read the lab's tokenizer after a change of its file and an update of its config."""
    checkpoint(folder, model_type=model_type)
    for name, make in (("tokenizer.json", change), ("tokenizer_config.json", lambda content: content.update(config))):
        content = json.loads((folder / name).read_text())
        make(content)
        (folder / name).write_text(json.dumps(content))
    return read_vocabulary(folder, ROWS)


def unchanged(content: dict[str, Any]) -> None:
    """Change nothing."""


def test_the_labs_tokenizer_is_exported_completely(tmp_path: Path) -> None:
    found = vocabulary(tmp_path, unchanged)
    assert found.splitter == "gpt-2"
    assert found.tokens[:3] == ["<pad>", "<eos>", "!"]
    assert found.types[:3] == [CONTROL, CONTROL, NORMAL]
    assert len(found.tokens) == len(found.types) == len(set(found.tokens)) == ROWS
    assert (found.tokens[735], found.types[735]) == ("[PAD735]", UNUSED)
    assert found.merges[:2] == ["Ġ Ġ", "Ġ i"]
    assert (found.ends, found.begin, found.padding, found.adds_begin) == ([1], None, 0, False)


def test_qwens_pre_tokenizer_and_normalizer_are_supported(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["pre_tokenizer"], content["normalizer"], content["post_processor"] = QWEN2, {"type": "NFC"}, None
        content["added_tokens"].append({"id": 734, "content": "<tool>", "special": False})

    found = vocabulary(tmp_path, change, chat_template="{{ messages }}")
    assert (found.splitter, found.chat_template) == ("qwen2", "{{ messages }}")
    (tmp_path / "chat_template.jinja").write_text("{{ its own file }}")
    assert read_vocabulary(tmp_path, ROWS).chat_template == "{{ its own file }}"
    assert (found.tokens[734], found.types[734]) == ("<tool>", USER_DEFINED)


def test_a_token_before_every_text_is_exported(tmp_path: Path) -> None:
    found = vocabulary(tmp_path, lambda content: content["post_processor"].update(single=BEGINS), add_bos_token=True)
    assert (found.begin, found.adds_begin) == (1, True)


def test_a_token_behind_every_text_is_not_exported_as_it_is_not_asked(tmp_path: Path) -> None:
    found = vocabulary(tmp_path, lambda content: content["post_processor"].update(single=[*BEGINS, BEGINS[0]]))
    assert (found.begin, found.adds_begin) == (1, True)


@pytest.mark.parametrize(
    ("model_type", "pre_tokenizer", "named", "message"),
    [
        ("qwen2", GPT2, {}, "Qwen2Tokenizer: qwen2"),
        ("qwen2", GPT2, {"tokenizer_class": "GPT2TokenizerFast"}, "Qwen2Tokenizer: qwen2"),
        ("llama", GPT2, {"tokenizer_class": "Qwen2TokenizerFast"}, "Qwen2Tokenizer: qwen2"),
        ("llama", QWEN2, {"tokenizer_class": "GPT2Tokenizer"}, "GPT2Tokenizer: gpt-2"),
        ("llama", GPT2, {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True}, "add_prefix_space"),
        ("qwen2", QWEN2, {"add_prefix_space": True}, "add_prefix_space"),
        ("llama", GPT2, {"tokenizer_class": "CohereTokenizerFast"}, "class is not supported; got CohereTokenizer"),
        ("llama", GPT2, {"tokenizer_class": "GPT2TokenizerFast"}, None),
        ("llama", QWEN2, {"tokenizer_class": "Qwen2Tokenizer"}, None),
        ("llama", GPT2, {"tokenizer_class": "LlamaTokenizerFast"}, None),
        ("qwen2", QWEN2, {"tokenizer_class": "PreTrainedTokenizerFast"}, None),
    ],
)
def test_a_tokenizer_that_transformers_opens_otherwise_than_its_file_is_refused(
    tmp_path: Path, model_type: str, pre_tokenizer: dict[str, Any], named: dict[str, Any], message: str | None
) -> None:
    def read() -> Vocabulary:
        return vocabulary(
            tmp_path, lambda content: content.update(pre_tokenizer=pre_tokenizer), model_type=model_type, **named
        )

    if message is not None:
        with pytest.raises(PackError, match=message):
            read()
        return
    found, opened = read(), json.loads(AutoTokenizer.from_pretrained(tmp_path).backend_tokenizer.to_str())
    assert _splitter(opened["pre_tokenizer"], tmp_path) == found.splitter


def test_all_end_tokens_are_exported_the_tokenizers_own_first(tmp_path: Path) -> None:
    vocabulary(tmp_path, unchanged)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 1]}))
    assert read_vocabulary(tmp_path, ROWS).ends == [1, 5]
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 6, 7]}))
    with pytest.raises(PackError, match="too many end tokens"):
        read_vocabulary(tmp_path, ROWS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["model"].update(type="Unigram"), "type"),
        (lambda content: content["model"].update(byte_fallback=True), "byte_fallback"),
        (lambda content: content["model"].update(ignore_merges=True), "ignore_merges"),
        (lambda content: content.update(normalizer={"type": "Lowercase"}), "Lowercase"),
        (lambda content: content["pre_tokenizer"].update(use_regex=False), "pre_tokenizer is not supported"),
        (lambda content: content["pre_tokenizer"].update(add_prefix_space=True), "pre_tokenizer is not supported"),
        (lambda content: content.update(pre_tokenizer=None), "pre_tokenizer is not supported"),
        (lambda content: content["added_tokens"][0].update(lstrip=True), "<pad>"),
        (lambda content: content["added_tokens"][0].update(id=ROWS), "more tokens"),
        (lambda content: content["post_processor"].update(single=[*BEGINS, BEGINS[1]]), "post_processor"),
        (lambda content: content.pop("model"), "does not parse"),
        (lambda content: content["model"].update(vocab=[]), "does not parse"),
    ],
)
def test_a_tokenizer_that_llama_cpp_would_apply_differently_is_refused_by_name(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(PackError, match=message):
        vocabulary(tmp_path, change)


def test_configs_that_disagree_on_the_first_token_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="add_bos_token"):
        vocabulary(tmp_path, unchanged, add_bos_token=True)
