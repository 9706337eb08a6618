"""A checkpoint's tokenizer in the form of llama.cpp: byte-level BPE, with a pre-tokenizer that both libraries support.

A tokenizer that llama.cpp would apply differently from its own library is refused by name, because a prompt with other
tokens is another prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from autosurgeon.errors import PackError
from autosurgeon.packs.chat_template import chat_template_of

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""llama.cpp's token types."""

_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITTERS: dict[str, list[dict[str, Any]]] = {
    "gpt-2": [{"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}],
    "qwen2": [
        {"type": "Split", "pattern": {"Regex": _QWEN2}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
    ],
}
"""The pre-tokenizers by llama.cpp's names, as tokenizer.json contains them."""
_REBUILT = {"Qwen2Tokenizer": "qwen2", "GPT2Tokenizer": "gpt-2"}
"""The classes with which transformers uses this pre_tokenizer, whatever tokenizer.json has."""
_FROM_FILE = {None, "TokenizersBackend", "PreTrainedTokenizer", "LlamaTokenizer"}
"""The classes that use that of tokenizer.json, LlamaTokenizer because the file is byte-level."""
_PLAIN_BPE: dict[str, tuple[object, ...]] = {
    "type": ("BPE",),
    "dropout": (None,),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}
MAX_END_TOKENS = 3
"""llama.cpp has keys for three end tokens: of a text, of a turn, of a message."""


class Vocabulary(NamedTuple):
    """The tokenizer of a GGUF file."""

    splitter: str
    tokens: list[str]
    """By id; unused ids of the model have placeholder names."""
    types: list[int]
    merges: list[str]
    ends: list[int]
    """The tokens that end an answer, the tokenizer's own first."""
    begin: int | None
    padding: int | None
    adds_begin: bool
    """Whether every prompt starts with `begin`."""
    chat_template: str | None


def read_vocabulary(folder: Path, rows: int) -> Vocabulary:
    """Return the tokenizer of a checkpoint folder whose model has `rows` tokens; PackError if it cannot be exported."""
    path = folder / "tokenizer.json"
    content, config = read_json(path), _read_optional(folder / "tokenizer_config.json")
    try:
        return _vocabulary(content, config, folder, rows)
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration) as error:
        raise PackError("a checkpoint's tokenizer does not parse", got=repr(error), where=path) from error


def _vocabulary(content: dict[str, Any], config: dict[str, Any], folder: Path, rows: int) -> Vocabulary:
    path = folder / "tokenizer.json"
    model, added = content["model"], content.get("added_tokens") or []
    _check(model, content.get("normalizer"), added, path)
    known = [*model["vocab"].items(), *((token["content"], token["id"]) for token in added)]
    if (highest := max(index for _, index in known)) >= rows:
        raise PackError("a tokenizer has more tokens than its model", got=highest + 1, wanted=rows, where=path)
    tokens, types = [f"[PAD{index}]" for index in range(rows)], [UNUSED] * rows
    for text, index in known:
        tokens[index], types[index] = text, NORMAL
    for token in added:
        types[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    ids: dict[str | None, int] = dict(known)
    first = _first_token(content.get("post_processor"), path)
    if config.get("add_bos_token") and first is None:
        raise PackError("a tokenizer's add_bos_token and its post_processor disagree", where=path)
    splitter = _splitter(content.get("pre_tokenizer"), path)
    _check_class(config, read_json(folder / "config.json"), splitter, path)
    return Vocabulary(
        splitter=splitter,
        tokens=tokens,
        types=types,
        merges=[merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]],
        ends=_ends(folder, ids.get(_text(config.get("eos_token")))),
        begin=ids.get(first or _text(config.get("bos_token"))),
        padding=ids.get(_text(config.get("pad_token"))),
        adds_begin=first is not None,
        chat_template=chat_template_of(folder),
    )


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON mapping of a file; PackError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PackError("a checkpoint is incomplete", got=f"no {path.name}", where=path.parent) from error
    except (ValueError, RecursionError) as error:
        raise PackError("a checkpoint's file does not parse", got=error, where=path) from error
    if not isinstance(content, dict):
        raise PackError("a checkpoint's file is not a mapping", got=type(content).__name__, where=path)
    return content


def _read_optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _check(model: Mapping[str, Any], normalizer: Any, added: list[dict[str, Any]], path: Path) -> None:
    for key, allowed in _PLAIN_BPE.items():
        if model.get(key) not in allowed:
            raise PackError(f"a tokenizer's {key} is not supported", got=model.get(key), wanted=allowed[0], where=path)
    # llama.cpp does not normalize text; almost all text is in NFC already.
    if normalizer not in (None, {"type": "NFC"}):
        raise PackError("a tokenizer's normalizer is not supported", got=normalizer, wanted="none, or NFC", where=path)
    for token in added:
        if token.get("lstrip") or token.get("rstrip") or token.get("single_word"):
            raise PackError("an added token that strips blanks is not supported", got=token["content"], where=path)


def _splitter(pre_tokenizer: Any, path: Path) -> str:
    whole = pre_tokenizer or {"type": None}
    steps = whole["pretokenizers"] if whole["type"] == "Sequence" else [whole]
    # The offsets of tokens in the text do not affect the model.
    found = [{key: value for key, value in step.items() if key != "trim_offsets"} for step in steps]
    for name, known in _SPLITTERS.items():
        if found == known:
            return name
    raise PackError(
        "a tokenizer's pre_tokenizer is not supported", got=found, wanted=" or ".join(_SPLITTERS), where=path
    )


def _check_class(config: dict[str, Any], model: dict[str, Any], splitter: str, path: Path) -> None:
    """Refuse a tokenizer that transformers opens with another pre_tokenizer than its file has."""
    named = config.get("tokenizer_class") or model.get("tokenizer_class")
    opened = "Qwen2Tokenizer" if model.get("model_type") == "qwen2" else named and named.removesuffix("Fast")
    if opened in _FROM_FILE:
        return
    if opened not in _REBUILT:
        wanted = " or ".join([*_REBUILT, "TokenizersBackend"])
        raise PackError("a tokenizer's class is not supported", got=opened, wanted=wanted, where=path)
    got = f"{opened} with add_prefix_space" if config.get("add_prefix_space") else f"{opened}: {_REBUILT[opened]}"
    if got != f"{opened}: {splitter}":
        what = "transformers ignores the pre_tokenizer of a tokenizer's file, so that prompts have other tokens"
        raise PackError(what, got=got, wanted=f"{splitter}, or that pre_tokenizer in the file", where=path)


def _first_token(processor: Any, path: Path) -> str | None:
    """Return the token that the post-processor puts before every text; None without one.

    Those that it puts behind a text are not asked; see docs/training.md.
    """
    if processor is None or processor.get("type") == "ByteLevel":
        return None
    single = processor.get("single", ()) if processor.get("type") == "TemplateProcessing" else ()
    parts = [next(iter(part.items())) for part in single]
    while len(parts) > 1 and parts[-1][0] == "SpecialToken":
        parts.pop()
    match parts:
        case [("Sequence", _)]:
            return None
        case [("SpecialToken", {"id": str(token)}), ("Sequence", _)]:
            return token
    raise PackError("a tokenizer's post_processor is not supported", got=processor.get("type"), where=path)


def _text(token: Any) -> str | None:
    """Return the text of a special token, which is a string or a mapping with `content`."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _ends(folder: Path, own: int | None) -> list[int]:
    """Return all tokens that end an answer of the pack: the tokenizer's own and those of the configs."""
    named = read_json(folder / "config.json") | _read_optional(folder / "generation_config.json")
    listed = named.get("eos_token_id")
    ids = [own, *(listed if isinstance(listed, list) else [listed])]
    ends = list(dict.fromkeys(index for index in ids if index is not None))
    if len(ends) > MAX_END_TOKENS:
        raise PackError("a model has too many end tokens", got=ends, wanted=f"at most {MAX_END_TOKENS}", where=folder)
    return ends
