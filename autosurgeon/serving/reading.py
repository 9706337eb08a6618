"""Read one answer: bytes to completions, and completions to a reply. Pure: no clock and no socket."""

from __future__ import annotations

from collections.abc import Mapping

from autosurgeon.core.answers import Ending, Reply, cut
from autosurgeon.core.envelope import FALLBACK, ORGAN
from autosurgeon.serving.link import Retry
from autosurgeon.serving.wire import CUT, Completion, Malformed, parse_completion, parse_headers

DONE = b"[DONE]"


class EventLines:
    """The subset of server-sent events that this protocol uses: the data after `data:` on complete lines."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of the lines that end in this piece; a last line without an end is dropped."""
        if b"\n" not in piece:
            self._buffer += piece
            return []
        *lines, rest = bytes(self._buffer + piece).split(b"\n")
        self._buffer = bytearray(rest)
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]


class ReplyReader:
    """One answer, read as it arrives."""

    def __init__(self, headers: Mapping[str, str], model: str, max_tokens: int, ending: Ending) -> None:
        self.is_streamed = headers.get("content-type", "").lower().startswith("text/event-stream")
        self.systems: set[str] = set()
        """The server's names of its build and settings."""
        self._handler, self._fallback = parse_headers(headers)
        self._model, self._max_tokens = model, max_tokens
        self._ending = ending
        self._answering_model: str | None = None
        self._text = ""
        self._tokens: int | None = None
        self._choices = self._pieces = 0
        self._ended = self._is_cut = self._has_text = False
        self._last_event = b""

    def take_event(self, data: bytes) -> bool:
        """Take an event of a stream, and return whether it is the last; Malformed, or Retry for an error in it."""
        if data == DONE:
            self._ended = True
            return True
        completion = parse_completion(data)
        counts = completion.usage is not None and any(choice.text for choice in completion.choices)
        if counts and data == self._last_event:
            raise Retry("sent a piece of an answer twice")
        self._last_event = data
        self._take(completion)
        return cut(self._text, *self._ending) != self._text

    def take_whole(self, raw: bytes) -> None:
        """Take an answer that is not streamed; one that has no finish reason at all is whole, an empty one is not."""
        completion = parse_completion(raw)
        self._take(completion)
        self._ended |= all(choice.finish_reason is None for choice in completion.choices)

    def _take(self, completion: Completion) -> None:
        if completion.model is not None:
            self._answering_model = completion.model
            if completion.model != self._model:
                raise Malformed(f"answered as {completion.model[:80]!r}, though {self._model[:80]!r} was requested")
        if completion.system_fingerprint is not None:
            self.systems.add(completion.system_fingerprint)
        if completion.usage is not None and completion.usage.completion_tokens is not None:
            self._tokens = completion.usage.completion_tokens
        self._handler = completion.handler or self._handler
        self._fallback = self._fallback if completion.fallback is None else completion.fallback
        for choice in completion.choices:
            if self._ended and choice.text:
                raise Retry("went on after the end of an answer")
            self._choices += 1
            self._text += choice.text or ""
            self._has_text |= choice.text is not None
            self._pieces += bool(choice.text)
            self._ended |= bool(choice.finish_reason)
            self._is_cut |= (choice.finish_reason or "").lower() in CUT

    def reply(self) -> Reply:
        """Return the reply; Malformed without a choice, without a text or for one cut early, Retry if it breaks off."""
        text = cut(self._text, *self._ending)
        if not self._ended and text == self._text:
            raise Retry("an answer broke off")
        if not self._choices:
            raise Malformed("no choices")
        if not self._has_text:
            raise Malformed("an answer without a text; got null")
        if self._is_cut and text == self._text and self._tokens is not None and self._tokens < self._max_tokens - 1:
            raise Malformed(
                f"cut an answer at {self._tokens} of {self._max_tokens} tokens; give the server a longer context"
            )
        # A server that streams without usage sends one token per event.
        counted = self._pieces if self.is_streamed else None
        handler = self._handler or ORGAN
        return Reply(
            text=text,
            tokens=counted if self._tokens is None else self._tokens,
            handler=handler,
            fallback=bool(self._fallback) or handler == FALLBACK,
            model=self._answering_model,
        )
