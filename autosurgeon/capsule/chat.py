"""Prompts and training rows by a checkpoint's chat template."""

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


def prompt_tokens(tokenizer: Any, chat: Chat | None, prompt: str) -> list[int]:
    """Return the tokens of a prompt; the special tokens of a chat stand in its template."""
    if chat is None:
        return list(tokenizer(prompt)["input_ids"])
    return list(tokenizer(render_prompt(tokenizer, chat, prompt), add_special_tokens=False)["input_ids"])


def end_of_turn(tokenizer: Any, chat: Chat) -> str:
    """Return the text with which the template ends an assistant's turn; the end token where it adds none."""
    content = "a few words"
    turn = {"role": "assistant", "content": content}
    whole = _render(tokenizer, [*_messages(chat, "a question"), turn], add_generation_prompt=False)
    _, found, end = whole.rpartition(content)
    return end.strip() if found and end.strip() else str(tokenizer.eos_token)


def end_token(tokenizer: Any, chat: Chat) -> int:
    """Return the token that ends an assistant's turn."""
    return int(tokenizer(end_of_turn(tokenizer, chat), add_special_tokens=False)["input_ids"][0])


def chat_row(tokenizer: Any, chat: Chat, prompt: str, completion: str) -> tuple[list[int], int]:
    """Return the tokens of a training row, and how many are the prompt's: those that are asked, then what answers."""
    head = prompt_tokens(tokenizer, chat, prompt)
    text = render_prompt(tokenizer, chat, prompt) + completion
    whole = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    # A joint token would not be what is asked; the answer is then tokenized on its own.
    tail = whole[len(head) :] if whole[: len(head)] == head else None
    if tail is None:
        tail = list(tokenizer(completion, add_special_tokens=False)["input_ids"])
    return [*head, *tail, end_token(tokenizer, chat)], len(head)


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
