"""OpenAI's completions protocol on the wire: all fields are validated, and unrequested ones are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from autosurgeon.serving.link import Retry

HANDLER = "x-autosurgeon-handler"
FALLBACK = "x-autosurgeon-fallback"
"""Keys or headers of an answer with which a runtime names the handler that answered."""
FINISHED = frozenset(
    {"stop", "length", "eos", "eos_token", "stop_sequence", "end_turn", "max_tokens", "done", "complete", "completed"}
)
"""Finish reasons of whole answers, in the spellings of known servers; any other is a failure of the server."""
REFUSED = frozenset({"content_filter", "function_call", "refusal", "tool_calls"})
"""Finish reasons that the same prompt gets again, so that a retry is useless."""
CUT = frozenset({"length", "max_tokens"})
"""Finish reasons of answers that reach the limit of tokens."""

Name = Annotated[str, Field(min_length=1, max_length=400)]


class _Wire(BaseModel):
    """The fields that are read of an object; others are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Usage(_Wire):
    """The token counts."""

    completion_tokens: int | None = Field(None, ge=0)


class Choice(_Wire):
    """One answer, or its next piece."""

    text: str | None
    """None in a last piece that has no text."""
    finish_reason: str | None = None
    """Empty in pieces that are not the last, for some servers."""


class Completion(_Wire):
    """An answer, or a piece of a streamed one, whose last piece may have only the usage and no choice."""

    choices: tuple[Choice, ...]
    model: Name | None = None
    usage: Usage | None = None
    system_fingerprint: str | None = Field(None, max_length=400)
    handler: Name | None = Field(None, alias=HANDLER)
    fallback: bool | None = Field(None, alias=FALLBACK)


class _Model(_Wire):
    id: Name


class Models(_Wire):
    """The answer to GET /models."""

    data: tuple[_Model, ...]


class Malformed(Exception):
    """The answer does not follow the protocol."""


def parse_object(raw: bytes) -> dict[str, Any]:
    """Return a JSON object; Malformed for another value, Retry for text that is no JSON: NaN, HTML, a torn answer."""
    try:
        content = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise Retry(f"not JSON: {error}; got {raw[:80]!r}") from error
    if not isinstance(content, dict):
        raise Malformed(f"not a JSON object; got {raw[:80]!r}")
    return content


def parse_models(raw: bytes) -> list[str]:
    """Return the names of the served models."""
    try:
        return [model.id for model in Models.model_validate(parse_object(raw), strict=False).data]
    except ValidationError as error:
        raise Malformed(_first(error)) from error


def parse_completion(raw: bytes) -> Completion:
    """Return a completion or a piece of one; Malformed for anything else, Retry for an error of the server."""
    content = parse_object(raw)
    if content.get("error") is not None:
        raise Retry(f"reported an error: {content['error']!r:.200}")
    if isinstance(content.get("choices"), list):
        content["choices"] = tuple(content["choices"])
    try:
        completion = Completion.model_validate(content)
    except ValidationError as error:
        raise Malformed(_first(error)) from error
    if len(completion.choices) > 1:
        raise Malformed(f"{len(completion.choices)} choices where one was requested")
    for choice in completion.choices:
        reason = choice.finish_reason
        if reason and reason.lower() not in FINISHED:
            message = f"abandoned an answer: finish_reason {reason[:80]!r}"
            raise Malformed(message) if reason.lower() in REFUSED else Retry(message)
    return completion


def parse_headers(headers: Mapping[str, str]) -> tuple[str | None, bool | None]:
    """Return handler and fallback from the headers, None if absent; Malformed for a fallback that is not a boolean."""
    handler, fallback = headers.get(HANDLER) or None, headers.get(FALLBACK)
    if fallback is not None and fallback not in ("true", "false"):
        raise Malformed(f"header {FALLBACK} is {fallback[:40]!r}, wanted true or false")
    if handler is not None and len(handler) > 400:
        raise Malformed(f"header {HANDLER} is too long")
    return handler, fallback == "true" if fallback is not None else None


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    got = "nothing" if first["type"] == "missing" else f"{first['input']!r:.80}"
    return f"not a completion: {'.'.join(map(str, first['loc']))}: {first['msg']}; got {got}"
