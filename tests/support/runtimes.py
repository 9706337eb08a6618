"""A deployed runtime: a real HTTP server on this machine that serves whatever pack a file names."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Runtime:
    """What the server answers with."""

    def __init__(self, served: Path) -> None:
        self.served = served
        self.url = ""
        self.answer: dict[str, Any] = {}
        """Keys of a completion, over its own."""
        self.headers: dict[str, str] = {}
        self.status = 200
        self.asked: list[str] = []

    @property
    def pack(self) -> str | None:
        """The pack that it serves."""
        return self.served.read_text().strip() if self.served.is_file() else None

    def reply(self, path: str) -> bytes:
        """The body of an answer."""
        self.asked.append(path)
        if path.endswith("/models"):
            return json.dumps({"object": "list", "data": [{"id": self.pack}] if self.pack else []}).encode()
        return json.dumps({"model": self.pack, "choices": [{"text": "x"}]} | self.answer).encode()


@contextlib.contextmanager
def runtime(served: Path) -> Iterator[Runtime]:
    """A runtime that is up until the block ends."""
    runtime = Runtime(served)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = runtime.reply(self.path)
            self.send_response(runtime.status)
            for name, value in runtime.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    runtime.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield runtime
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
