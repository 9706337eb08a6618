"""llama.cpp's own server, from a wheel, in a process of its own; and what it answers, held against a pack's answers.

    python tests/llamaserver.py FILE ALIAS SLOTS TOKENS

prints its address and serves until its standard input ends. As it keeps keys and values in FP32, it computes with what
the file holds, but that products with BF16 matrices round the activations to BF16.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from autosurgeon.core.task import Task


class ServerAnswer(NamedTuple):
    """The model that the server names, the text, and the tokens, each with its lead over the second, in nats."""

    model: str
    text: str
    tokens: list[tuple[bytes, float]]


class Difference(NamedTuple):
    """Where two answers to a task part, and how near the second token was there; None where an answer just ended."""

    task_id: str
    own: str
    theirs: str
    lead: float | None


@contextlib.contextmanager
def serving(file: Path, alias: str, *, slots: int = 4, tokens: int = 512) -> Iterator[str]:
    """The address of a server of the file, under that name; it ends with the block."""
    command = [sys.executable, __file__, str(file), alias, str(slots), str(tokens)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None  # both were asked for
    with process.stdin, process.stdout:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ask(url: str, path: str, body: object = None) -> Any:
    """A server's answer to a request, parsed."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def complete(url: str, model: str, prompt: str, max_tokens: int) -> ServerAnswer:
    """The greedy answer to a prompt, not cut."""
    body = {"model": model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "logprobs": 2}
    answer = ask(url, "/v1/completions", body)
    (choice,) = answer["choices"]
    tokens = [
        (bytes(token["bytes"]), token["top_logprobs"][0]["logprob"] - token["top_logprobs"][1]["logprob"])
        for token in choice["logprobs"]["content"]
    ]
    return ServerAnswer(answer["model"], choice["text"], tokens)


def complete_all(url: str, model: str, prompts: Sequence[str], max_tokens: int, slots: int = 4) -> list[ServerAnswer]:
    """The answers to prompts, some at a time."""
    with ThreadPoolExecutor(slots) as pool:
        return list(pool.map(lambda prompt: complete(url, model, prompt, max_tokens), prompts))


def difference(task: Task, own: str, theirs: str, answer: ServerAnswer) -> Difference | None:
    """Where the pack's answer and llama.cpp's part, both cut; None where they are the same."""
    if own == theirs:
        return None
    a, b = own.encode(), theirs.encode()
    at = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    before = 0
    for token, lead in answer.tokens:
        before += len(token)
        if before > at:
            return Difference(task.task_id, own, theirs, lead)
    return Difference(task.task_id, own, theirs, None)


def serve(file: str, alias: str, slots: int, tokens: int) -> None:
    """Serve until standard input ends."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = file, {alias}
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_parallel, params.n_ctx = slots, slots * tokens
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    # Threads that wait for each other at every product crawl where others want the cores.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = params.cache_prompt = False
    params.verbosity = 1
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
