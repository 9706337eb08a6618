"""Check that the deployed runtime serves a pack: by its list of models, and by the headers of a completion."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from autosurgeon.core.envelope import ORGAN
from autosurgeon.core.ports import Beat

ASK_S = 10.0
"""How long one question may take; a runtime that is loading may not answer at all."""
POLL_S = 0.2
MAX_BYTES = 1 << 20


def wait_for_answer(url: str, pack: str, seconds: float, beat: Beat) -> str | None:
    """Ask until the runtime answers with the pack; None, or what was wrong with the last answer when time was up."""
    deadline = time.monotonic() + seconds
    while (problem := ask_once(url, pack, beat)) is not None and time.monotonic() < deadline:
        beat()
        time.sleep(POLL_S)
    return problem


def ask_once(url: str, pack: str, beat: Beat) -> str | None:
    """What is wrong with the runtime's answer, in words without its own text; None where it serves the pack."""
    found: list[str | None] = []

    def ask() -> None:
        try:
            found.append(_problem(url.rstrip("/"), pack))
        except urllib.error.HTTPError as error:
            error.close()
            found.append(f"it answers with status {error.code}")
        except Exception as error:  # whatever a stranger's server does
            reason = getattr(error, "reason", None)
            found.append(f"{type(error).__name__}{f' ({reason})' if isinstance(reason, OSError) else ''}")

    # In a thread of its own, since a socket's time-out starts anew with every byte of a slow answer.
    thread = threading.Thread(target=ask, daemon=True, name="autosurgeon-asking")
    thread.start()
    deadline = time.monotonic() + ASK_S
    while thread.is_alive() and time.monotonic() < deadline:
        thread.join(POLL_S)
        beat()
    return found[0] if found else f"it has not answered for {ASK_S:.0f} s"


def _problem(url: str, pack: str) -> str | None:
    models = _read(urllib.request.Request(f"{url}/models"))[0].get("data")
    names = [model.get("id") for model in models if isinstance(model, dict)] if isinstance(models, list) else []
    if pack not in names:
        return f"it lists {len(names)} models, and not that one"
    body = json.dumps({"model": pack, "prompt": "def", "max_tokens": 1, "temperature": 0}).encode()
    headers = {"Content-Type": "application/json"}
    answer, headers_back = _read(
        urllib.request.Request(f"{url}/completions", data=body, headers=headers, method="POST")
    )
    if answer.get("model") != pack:
        return "it completes with another model than it was asked for"
    if str(answer.get("x-autosurgeon-fallback", headers_back.get("x-autosurgeon-fallback"))).lower() == "true":
        return "a fallback model answers in its place"
    handler = answer.get("x-autosurgeon-handler", headers_back.get("x-autosurgeon-handler")) or ORGAN
    return None if handler == ORGAN else "another handler answers in its place"


def _read(request: urllib.request.Request) -> tuple[dict[str, Any], Any]:
    """A JSON object and the headers that came with it."""
    with urllib.request.urlopen(request, timeout=ASK_S) as response:
        content = json.loads(response.read(MAX_BYTES))
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        return content, response.headers
