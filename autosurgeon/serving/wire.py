"""OpenAI's completions protocol as it comes over the wire: checked, and no field believed that was not asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from autosurgeon.serving.link import Again

HANDLER = "x-autosurgeon-handler"
FALLBACK = "x-autosurgeon-fallback"
"""Keys of an answer, or its headers, by which a runtime says who answered."""
UNFINISHED = frozenset({"abort", "aborted", "cancelled", "content_filter", "error"})
"""Ends of which the text is no whole answer of the model."""

Name = Annotated[str, Field(min_length=1, max_length=400)]


class _Wire(BaseModel):
    """What is read of an object; whatever else it holds is left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Usage(_Wire):
    """How many tokens there were."""

    completion_tokens: int | None = Field(None, ge=0)


class Choice(_Wire):
    """One answer, or the next piece of it."""

    text: str
    finish_reason: str | None = None


class Completion(_Wire):
    """A whole answer, or a piece of one that is streamed: then the last may have no choice and only the usage."""

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
    """No answer of this protocol."""


def parse_object(raw: bytes) -> dict[str, Any]:
    """A JSON object; Malformed for anything else, NaN and half characters among it."""
    try:
        content = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise Malformed(f"no JSON: {error}; got {raw[:80]!r}") from error
    if not isinstance(content, dict):
        raise Malformed(f"no JSON object; got {raw[:80]!r}")
    return content


def parse_models(raw: bytes) -> list[str]:
    """The names of the served models."""
    try:
        return [model.id for model in Models.model_validate(parse_object(raw), strict=False).data]
    except ValidationError as error:
        raise Malformed(_first(error)) from error


def parse_completion(raw: bytes) -> Completion:
    """A completion or a piece of one; Malformed for anything else, Again for an error that the server tells of."""
    content = parse_object(raw)
    if content.get("error") is not None:
        raise Again(f"told of an error: {content['error']!r:.200}")
    if isinstance(content.get("choices"), list):
        content["choices"] = tuple(content["choices"])
    try:
        completion = Completion.model_validate(content)
    except ValidationError as error:
        raise Malformed(_first(error)) from error
    if len(completion.choices) > 1:
        raise Malformed(f"{len(completion.choices)} choices where one was asked for")
    for choice in completion.choices:
        if choice.finish_reason in UNFINISHED:
            raise Again(f"gave an answer up: finish_reason {choice.finish_reason!r}")
    return completion


def told_by_headers(headers: Mapping[str, str]) -> tuple[str | None, bool | None]:
    """Handler and fallback as the headers say, None where they do not; Malformed for a fallback that is no truth."""
    handler, fallback = headers.get(HANDLER) or None, headers.get(FALLBACK)
    if fallback is not None and fallback not in ("true", "false"):
        raise Malformed(f"header {FALLBACK} is {fallback[:40]!r}, wanted true or false")
    if handler is not None and len(handler) > 400:
        raise Malformed(f"header {HANDLER} is too long")
    return handler, fallback == "true" if fallback is not None else None


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    got = "nothing" if first["type"] == "missing" else f"{first['input']!r:.80}"
    return f"no completion: {'.'.join(map(str, first['loc']))}: {first['msg']}; got {got}"
