"""One text: the tokens that are asked and learned, and the text that a model's tokens add to it.

Prompts are tokenized as a plain `tokenizer(prompt)` does it. Rows begin with these very tokens, and answers are read
from the decoded whole, because tokenizers drop or add a blank where a text begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from autosurgeon.capsule.chat import end_of_turn, end_token, render_prompt
from autosurgeon.core.chat import Chat
from autosurgeon.errors import UserError

ANCHORS = ("", "\n", "x", ";", "x = ")
"""Texts behind which an answer is tokenized where a token joins the end of the prompt and its beginning."""


def prompt_tokens(tokenizer: Any, chat: Chat | None, prompt: str) -> list[int]:
    """Return the tokens of a prompt, with the special tokens that the tokenizer puts before a text, and none behind.

    The special tokens of a chat are in its template's text.
    """
    return _tokens(tokenizer, _asked_text(tokenizer, chat, prompt), special=chat is None)


def row_tokens(tokenizer: Any, chat: Chat | None, prompt: str, completion: str) -> tuple[list[int], int]:
    """Return the tokens of a training row, the end token included, and how many of them are the prompt's.

    They are the tokens of the whole text where these begin with the prompt's. Where a token joins prompt and
    completion, which is not asked, or a special token is part of the completion's text, which would end an answer, the
    completion is tokenized as ordinary text behind the prompt's tokens.

    Raises:
        UserError: no tokens behind the prompt's decode to the completion.

    """
    text, special, end = _asked_text(tokenizer, chat, prompt), chat is None, tokenizer.eos_token_id
    if chat is not None:
        turn = end_of_turn(tokenizer, chat)
        completion += turn[: len(turn) - len(turn.lstrip())]
        end = end_token(tokenizer, turn)
    asked = _tokens(tokenizer, text, special=special)
    whole = _tokens(tokenizer, text + completion, special=special)
    if whole[: len(asked)] != asked or not _special(tokenizer).isdisjoint(whole[len(asked) :]):
        whole = asked + _completion_tokens(tokenizer, asked, completion, whole)
    return [*whole, end], len(asked)


def decode(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Return the text of tokens without special ones, with the blanks before punctuation that are in it."""
    return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def answer_text(tokenizer: Any, asked: Sequence[int], written: Sequence[int]) -> str:
    """Return the text that the written tokens add to a prompt's."""
    before, whole = decode(tokenizer, asked), decode(tokenizer, [*asked, *written])
    if whole.startswith(before):
        return whole[len(before) :]
    # An incomplete character may take bytes of the prompt's last one with it.
    return whole[next(n for n, pair in enumerate(zip_longest(before, whole)) if pair[0] != pair[1]) :]


def last_contexts(tokenizer: Any, prompts: Sequence[list[int]]) -> dict[int, list[int]]:
    """Return `last_context` of each prompt by the identity of its list, which the samples of a prompt share."""
    return {key: last_context(tokenizer, asked) for key, asked in {id(asked): asked for asked in prompts}.items()}


def last_context(tokenizer: Any, asked: list[int]) -> list[int]:
    """Return the last tokens of a prompt behind which others decode as behind the whole, which may be a thousand.

    Their text is the end of the prompt's: they do not begin within a character.
    """
    whole = decode(tokenizer, asked)
    for last in (asked[-count:] for count in (8, 64)):
        text = decode(tokenizer, last)
        if text and whole.endswith(text):
            return last
    return asked


def _asked_text(tokenizer: Any, chat: Chat | None, prompt: str) -> str:
    return prompt if chat is None else render_prompt(tokenizer, chat, prompt)


def _tokens(tokenizer: Any, text: str, *, special: bool) -> list[int]:
    """Return a text's tokens; with `special`, those that the tokenizer puts before it too, but never those behind."""
    ids = list(tokenizer(text, add_special_tokens=special)["input_ids"])
    return ids[: len(ids) - _tokens_behind(tokenizer)] if special else ids


def _special(tokenizer: Any) -> set[int]:
    """Return the special tokens that a text can name; the token for unknown characters stands for others."""
    return {*tokenizer.all_special_ids} - {tokenizer.unk_token_id}


def _tokens_behind(tokenizer: Any) -> int:
    """Return how many tokens the tokenizer puts behind a text, such as an end token, after which a model stops."""
    bare, whole = (tokenizer("x", add_special_tokens=special)["input_ids"] for special in (False, True))
    ends = (n for n in range(len(bare), len(whole) + 1) if whole[n - len(bare) : n] == bare)
    return len(whole) - next(ends, len(whole))


def _completion_tokens(tokenizer: Any, asked: list[int], completion: str, whole: list[int]) -> list[int]:
    """Return ordinary tokens of a completion that decode to its text behind the prompt's, or to that of the whole."""
    wanted = {decode(tokenizer, asked) + completion, decode(tokenizer, whole)}
    for anchor in ANCHORS:
        before, ids = (
            list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
            for text in (anchor, anchor + completion)
        )
        tokens = ids[len(before) :]
        if ids[: len(before)] == before and decode(tokenizer, asked + tokens) in wanted:
            return tokens
    raise UserError(
        "a row's completion has no tokens of its own behind its prompt",
        got=f"a completion that begins with {completion[:20]!r}, after {decode(tokenizer, asked)[-20:]!r}",
        wanted="a prompt that ends before a line or word, or a tokenizer that keeps the text",
    )
