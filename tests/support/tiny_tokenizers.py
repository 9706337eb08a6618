"""Tiny tokenizers of the kinds that published models have, trained on the lab's tasks."""

from __future__ import annotations

import functools
import json
import math
import re
import string
from collections import Counter
from collections.abc import Callable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from autosurgeon.config import shipped

SPECIAL = ["<unk>", "<s>", "</s>"]
_CASES = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2, LLAMA3 = rf"{_CASES}|{_WORDS}|\p{{N}}|{_REST}", rf"{_CASES}|{_WORDS}|\p{{N}}{{1,3}}|{_REST}"


@functools.cache
def corpus() -> list[str]:
    """Return some of the lab's tasks, each with its solution."""
    lines = shipped("data", "lab", "lab-humaneval.jsonl").read_text(encoding="utf-8").splitlines()[:60]
    rows = map(json.loads, lines)
    return [row["prompt"] + (row["reference"] or "") for row in rows]


def _template(*, begins: bool = True, ends: bool = False) -> Any:
    single = f"{'<s> ' if begins else ''}$A{' </s>' if ends else ''}"
    return processors.TemplateProcessing(single=single, special_tokens=[("<s>", 1), ("</s>", 2)])


def _trained(model: Any, trainer: Any, **parts: Any) -> Tokenizer:
    tokenizer = Tokenizer(model)
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def _byte_level(*splits: Any, prefix: bool = False, ignore_merges: bool = False, **parts: Any) -> Tokenizer:
    level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=not splits)
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pre_tokenizer = pre_tokenizers.Sequence([*splits, level]) if splits else level
    decoder = decoders.ByteLevel()
    return _trained(
        models.BPE(ignore_merges=ignore_merges), trainer, pre_tokenizer=pre_tokenizer, decoder=decoder, **parts
    )


def _split(pattern: str) -> Any:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def _byte_fallback(normalizer: Any, *strip: Any) -> Tokenizer:
    """Return a SentencePiece BPE as Llama-2's: a line break is a byte, and blanks are parts of words."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=220, special_tokens=SPECIAL, show_progress=False)
    trained.train_from_iterator([line for text in corpus() for line in text.split("\n")], trainer)
    model = json.loads(trained.to_str())["model"]
    known = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *model["vocab"]]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(known))}
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    tokenizer.post_processor = _template()
    return tokenizer


_BLANKS = normalizers.Replace(" ", "▁")
_DUMMY = normalizers.Sequence([normalizers.Prepend("▁"), _BLANKS])
_BPE = functools.partial(trainers.BpeTrainer, vocab_size=300, special_tokens=SPECIAL, show_progress=False)


def _unigram(**parts: Any) -> Tokenizer:
    """Return a Unigram of the commonest words and of all characters; its trainer gives another one each time."""
    words = Counter(re.findall(r"▁*\w+|[^\w▁]", "".join(corpus()).replace(" ", "▁")))
    scores = {word: math.log(count / words.total()) for word, count in words.most_common(250)}
    scores |= {letter: scores.get(letter, -12.0) for letter in string.printable.replace(" ", "▁")}
    vocabulary = [*((token, 0.0) for token in SPECIAL), *scores.items()]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    tokenizer.add_special_tokens(SPECIAL)
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer


def _metaspace(scheme: Any, *, split: bool) -> dict[str, Any]:
    parts = {"prepend_scheme": scheme, "split": split}
    return {"pre_tokenizer": pre_tokenizers.Metaspace(**parts), "decoder": decoders.Metaspace(**parts)}


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "gpt2": _byte_level,
    "gpt2-begin": lambda: _byte_level(post_processor=_template()),
    "gpt2-end": lambda: _byte_level(post_processor=_template(ends=True)),
    "gpt2-prefix": lambda: _byte_level(prefix=True, post_processor=_template(begins=False, ends=True)),
    "qwen2": lambda: _byte_level(_split(QWEN2), normalizer=normalizers.NFC()),
    "llama3": lambda: _byte_level(
        _split(LLAMA3),
        ignore_merges=True,
        post_processor=processors.Sequence([processors.ByteLevel(trim_offsets=False), _template()]),
    ),
    "llama2": lambda: _byte_fallback(_DUMMY, decoders.Strip(" ", 1, 0)),
    "gemma": lambda: _byte_fallback(_BLANKS),
    "metaspace": lambda: _trained(models.BPE(), _BPE(), **_metaspace("first", split=True), post_processor=_template()),
    "joining": lambda: _trained(
        models.BPE(),
        _BPE(),
        normalizer=_DUMMY,
        decoder=decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
        post_processor=_template(),
    ),
    "unigram": lambda: _unigram(**_metaspace("never", split=False)),
    "unigram-prefix": lambda: _unigram(**_metaspace("always", split=True), post_processor=_template(ends=True)),
    "unigram-collapsing": lambda: _unigram(
        normalizer=normalizers.Replace(Regex(r"\s+"), " "),
        **_metaspace("always", split=True),
    ),
}
"""By kind: whole words and blanks by GPT-2's expression, Qwen2's or Llama-3's, or SentencePiece with a blank put before
the text (llama2, joining, *-prefix) or not, bytes for unknown characters or not, and special tokens around a text."""
LOSSLESS = [kind for kind in KINDS if kind != "unigram-collapsing"]


@functools.cache
def tiny_tokenizer(kind: str) -> Any:
    """Return a tokenizer of a kind."""
    return PreTrainedTokenizerFast(
        tokenizer_object=KINDS[kind](),
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<unk>",
    )
