"""Prompts and ends of turns by a checkpoint's chat template."""

from __future__ import annotations

from typing import Any

from autosurgeon.core.chat import FORM, Chat
from autosurgeon.core.digest import digest_json
from autosurgeon.errors import UserError

FIXED_DAY = (
    "{% macro strftime_now(format) %}{{ format | replace('%d', '26') | replace('%b', 'Jul') | replace('%B', 'July')"
    " | replace('%m', '07') | replace('%Y', '2024') | replace('%A', 'Friday') }}{% endmacro %}{{ '' }}"
)
"""Stands before a template that names the present day, so that an answer does not depend on the day."""


def chat_digest(tokenizer: Any, chat: Chat) -> str:
    """Return the digest of template, system message and form of the questions."""
    return digest_json({"form": FORM, "system": chat.system, "template": tokenizer.chat_template})[:16]


def render_prompt(tokenizer: Any, chat: Chat, prompt: str) -> str:
    """Return the text up to the assistant's turn; UserError if the template refuses the messages or there is none."""
    return _render(tokenizer, _messages(chat, prompt), add_generation_prompt=True)


def end_of_turn(tokenizer: Any, chat: Chat) -> str:
    """Return the text with which the template ends an assistant's turn, with the blanks before it.

    It is the end token where the template adds none.
    """
    content = "a few words"
    turn = {"role": "assistant", "content": content}
    whole = _render(tokenizer, [*_messages(chat, "a question"), turn], add_generation_prompt=False)
    _, found, end = whole.rpartition(content)
    return end.rstrip() if found and end.strip() else str(tokenizer.eos_token)


def end_token(tokenizer: Any, end: str) -> int:
    """Return the token with which a text ends a turn: its first where that stands for it, else the end token."""
    ids = tokenizer(end.lstrip(), add_special_tokens=False)["input_ids"]
    # The first part of an ordinary text, such as a bracket, would end answers in their midst.
    is_one = bool(ids) and ids[0] in tokenizer.added_tokens_decoder
    return int(ids[0] if is_one else tokenizer.eos_token_id)


def _messages(chat: Chat, prompt: str) -> list[dict[str, str]]:
    system = [{"role": "system", "content": chat.system}] if chat.system else []
    return [*system, {"role": "user", "content": prompt}]


def _render(tokenizer: Any, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
    try:
        template = tokenizer.get_chat_template()
        if "strftime_now" in template:
            template = FIXED_DAY + template
        return str(
            tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        )
    except Exception as error:  # a template is a program of the checkpoint's, and refuses messages as it likes
        raise UserError(
            "a chat template does not render", got=error, wanted='organ.prompt = "completion" or no organ.system_prompt'
        ) from error
