"""A checkpoint's tokenizer as llama.cpp wants it: byte-level BPE, with one of the ways to split text that both know.

What llama.cpp would do otherwise than the tokenizer's own library is refused by name, since a prompt that falls into
other tokens is another prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from autosurgeon.errors import PackError

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
"""llama.cpp's name of a way to split, and how tokenizer.json says it."""
_PLAIN_BPE: dict[str, tuple[object, ...]] = {
    "type": ("BPE",),
    "dropout": (None,),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}
MOST_ENDS = 3
"""llama.cpp has keys for so many tokens that end an answer: of a text, of a turn, of a message."""


class Vocabulary(NamedTuple):
    """What a GGUF file says of a tokenizer."""

    splitter: str
    tokens: list[str]
    """By id; those that only pad the model's rows have names of their own."""
    types: list[int]
    merges: list[str]
    ends: list[int]
    """Tokens that end an answer, the tokenizer's own first."""
    begin: int | None
    padding: int | None
    adds_begin: bool
    """Whether `begin` stands before every prompt."""
    chat_template: str | None


def read_vocabulary(folder: Path, rows: int) -> Vocabulary:
    """The tokenizer of a checkpoint folder whose model knows `rows` tokens; PackError names what cannot be exported."""
    path = folder / "tokenizer.json"
    content, said = read_json(path), _read_if_there(folder / "tokenizer_config.json")
    try:
        return _vocabulary(content, said, folder, rows)
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration) as error:
        raise PackError("a checkpoint's tokenizer does not parse", got=repr(error), where=path) from error


def _vocabulary(content: dict[str, Any], said: dict[str, Any], folder: Path, rows: int) -> Vocabulary:
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
    before, template = _put_before(content.get("post_processor"), path), said.get("chat_template")
    if said.get("add_bos_token") and before is None:
        raise PackError("a tokenizer's add_bos_token and its post_processor disagree", where=path)
    return Vocabulary(
        splitter=_splitter(content.get("pre_tokenizer"), path),
        tokens=tokens,
        types=types,
        merges=[merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]],
        ends=_ends(folder, ids.get(_text(said.get("eos_token")))),
        begin=ids.get(before or _text(said.get("bos_token"))),
        padding=ids.get(_text(said.get("pad_token"))),
        adds_begin=before is not None,
        chat_template=template if isinstance(template, str) else None,
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON mapping; PackError where the file holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PackError("a checkpoint is incomplete", got=f"no {path.name}", where=path.parent) from error
    except (ValueError, RecursionError) as error:
        raise PackError("a checkpoint's file does not parse", got=error, where=path) from error
    if not isinstance(content, dict):
        raise PackError("a checkpoint's file is no mapping", got=type(content).__name__, where=path)
    return content


def _read_if_there(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _check(model: Mapping[str, Any], normalizer: Any, added: list[dict[str, Any]], path: Path) -> None:
    for key, allowed in _PLAIN_BPE.items():
        if model.get(key) not in allowed:
            raise PackError(f"a tokenizer's {key} is not known", got=model.get(key), wanted=allowed[0], where=path)
    # llama.cpp leaves text as it is: in NFC nearly all of it is already.
    if normalizer not in (None, {"type": "NFC"}):
        raise PackError("a tokenizer's normalizer is not known", got=normalizer, wanted="none, or NFC", where=path)
    for token in added:
        if token.get("lstrip") or token.get("rstrip") or token.get("single_word"):
            raise PackError("an added token that takes blanks along is not known", got=token["content"], where=path)


def _splitter(pre_tokenizer: Any, path: Path) -> str:
    whole = pre_tokenizer or {"type": None}
    steps = whole["pretokenizers"] if whole["type"] == "Sequence" else [whole]
    # Where a token stands in the text is nothing to a model.
    found = [{key: value for key, value in step.items() if key != "trim_offsets"} for step in steps]
    for name, known in _SPLITTERS.items():
        if found == known:
            return name
    raise PackError(
        "a tokenizer splits text in a way that is not known", got=found, wanted=" or ".join(_SPLITTERS), where=path
    )


def _put_before(processor: Any, path: Path) -> str | None:
    """The token that is put before every text, if there is one."""
    if processor is None or processor.get("type") == "ByteLevel":
        return None
    single = processor.get("single", ()) if processor.get("type") == "TemplateProcessing" else ()
    match [next(iter(part.items())) for part in single]:
        case [("Sequence", _)]:
            return None
        case [("SpecialToken", {"id": str(token)}), ("Sequence", _)]:
            return token
    raise PackError("a tokenizer's post_processor is not known", got=processor.get("type"), where=path)


def _text(token: Any) -> str | None:
    """A special token, which is told as its text or with how it is matched."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _ends(folder: Path, own: int | None) -> list[int]:
    """Every token that ends an answer where the pack itself is asked: the tokenizer's, and those of the configs."""
    named = read_json(folder / "config.json") | _read_if_there(folder / "generation_config.json")
    listed = named.get("eos_token_id")
    ids = [own, *(listed if isinstance(listed, list) else [listed])]
    ends = list(dict.fromkeys(index for index in ids if index is not None))
    if len(ends) > MOST_ENDS:
        raise PackError("a model has too many end tokens", got=ends, wanted=f"at most {MOST_ENDS}", where=folder)
    return ends
