"""A real HTTP server on this machine that speaks OpenAI's completions, or misbehaves; the test chooses its answers."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from autosurgeon.endpoints import ServingSettings

Respond = Callable[["Handler"], None]
"""Answers one request."""
IMPATIENT = ServingSettings(retries=0, retry_s=0, request_s=20, concurrency=4)


class Handler(BaseHTTPRequestHandler):
    """One request: `body` is its JSON, empty for a GET."""

    protocol_version = "HTTP/1.1"
    body: dict[str, Any]
    server: ModelServer

    def do_GET(self) -> None:
        self.body = {}
        self._respond()

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._respond()

    def _respond(self) -> None:
        self.server.requests.append((self.path, self.body, dict(self.headers)))
        self.close_connection = True
        # A client may leave before the end.
        with contextlib.suppress(ConnectionError):
            self.server.respond(self)

    def send(self, raw: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        """A whole answer."""
        self.begin(status, kind, **{"Content-Length": str(len(raw))}, **headers)
        self.wfile.write(raw)

    def begin(self, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        """The head of an answer; without a length its end is the connection's."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Connection": "close", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class ModelServer(ThreadingHTTPServer):
    """The server; `requests` are (path, body, headers) in the order in which they came."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, respond: Respond) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.respond = respond
        self.requests: list[tuple[str, dict[str, Any], dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What was asked of completions."""
        return [body for path, body, _ in self.requests if path.endswith("/completions")]


@contextlib.contextmanager
def serving(respond: Respond) -> Iterator[ModelServer]:
    """A server for as long as the block lasts."""
    server = ModelServer(respond)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def speak(
    answer: Callable[[dict[str, Any]], str],
    model: str = "m",
    *,
    streamed: bool = True,
    fields: Mapping[str, Any] | None = None,
) -> Respond:
    """Return a handler of the protocol: `answer` maps a request's body to a text; `fields` extend each answer."""

    def respond(handler: Handler) -> None:
        if handler.path == "/v1/models":
            handler.send(json.dumps({"object": "list", "data": [{"id": model, "object": "model"}]}).encode())
            return
        text = answer(handler.body)
        content = {"id": "c", "object": "text_completion", "model": handler.body["model"], **(fields or {})}
        usage = {"prompt_tokens": 1, "completion_tokens": len(text)}
        if not streamed:
            choices = [{"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}]
            handler.send(json.dumps({**content, "choices": choices, "usage": usage}).encode())
            return
        handler.begin(kind="text/event-stream; charset=utf-8")
        pieces = [text[start : start + 7] for start in range(0, len(text), 7)]
        for piece in pieces:
            choices = [{"index": 0, "text": piece, "finish_reason": None}]
            handler.wfile.write(event({**content, "choices": choices}))
        handler.wfile.write(event({**content, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}))
        handler.wfile.write(event({**content, "choices": [], "usage": usage}) + b"data: [DONE]\n\n")

    return respond


def event(content: object) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(content).encode() + b"\n\n"
