"""Reading one answer: pieces of bytes to completions, completions to a reply. Pure: no clock and no socket."""

from __future__ import annotations

from collections.abc import Mapping

from autosurgeon.core.answers import Reply, cut
from autosurgeon.core.envelope import FALLBACK, ORGAN
from autosurgeon.serving.link import Again
from autosurgeon.serving.wire import Completion, Malformed, parse_completion, told_by_headers

DONE = b"[DONE]"


class EventLines:
    """Server-sent events, as far as this protocol uses them: what stands behind `data:` on lines that came whole."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the lines that end in this piece; a last line without an end is torn, and never comes."""
        if b"\n" not in piece:
            self._held += piece
            return []
        *lines, rest = bytes(self._held + piece).split(b"\n")
        self._held = bytearray(rest)
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]


class ReplyReader:
    """One answer as it grows."""

    def __init__(self, headers: Mapping[str, str], model: str, stops_at_dedent: bool, name: str = "") -> None:
        self.is_streamed = headers.get("content-type", "").lower().startswith("text/event-stream")
        self.systems: set[str] = set()
        """What the server calls its build and settings."""
        self._handler, self._fallback = told_by_headers(headers)
        self._model = model
        self._stops_at_dedent, self._name = stops_at_dedent, name
        self._told_model: str | None = None
        self._text = ""
        self._tokens: int | None = None
        self._choices = self._pieces = 0
        self._ended = False

    def take_event(self, data: bytes) -> bool:
        """Whether this event of a stream was the last that matters; Malformed, or Again for an error told in it."""
        if data == DONE:
            self._ended = True
            return True
        self._take(parse_completion(data))
        return self._stops_at_dedent and cut(self._text, True, self._name) != self._text

    def take_whole(self, raw: bytes) -> None:
        """An answer that came in one; whether it says so or not, it has ended."""
        self._take(parse_completion(raw))
        self._ended = True

    def _take(self, completion: Completion) -> None:
        if completion.model is not None:
            self._told_model = completion.model
            if completion.model != self._model:
                raise Malformed(f"answered as {completion.model[:80]!r}, though {self._model[:80]!r} was asked for")
        if completion.system_fingerprint is not None:
            self.systems.add(completion.system_fingerprint)
        if completion.usage is not None and completion.usage.completion_tokens is not None:
            self._tokens = completion.usage.completion_tokens
        self._handler = completion.handler or self._handler
        self._fallback = self._fallback if completion.fallback is None else completion.fallback
        for choice in completion.choices:
            self._choices += 1
            self._text += choice.text
            self._pieces += bool(choice.text)
            self._ended |= choice.finish_reason is not None

    def reply(self) -> Reply:
        """The reply; Malformed where no choice came, Again for an answer that breaks off."""
        text = cut(self._text, self._stops_at_dedent, self._name)
        if not self._ended and text == self._text:
            raise Again("an answer broke off")
        if not self._choices:
            raise Malformed("no choices")
        # Whoever streams and tells no count sends a token at a time.
        counted = self._pieces if self.is_streamed else None
        handler = self._handler or ORGAN
        return Reply(
            text=text,
            tokens=counted if self._tokens is None else self._tokens,
            handler=handler,
            fallback=bool(self._fallback) or handler == FALLBACK,
            model=self._told_model,
        )
