"""Unavailable, slow or hostile servers cause an error that names them, within time and bytes, and never a score."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelserver import IMPATIENT, Handler, event, serving, speak

from autosurgeon.core.answers import Answers
from autosurgeon.core.task import Split, Task
from autosurgeon.endpoints import ServingSettings
from autosurgeon.errors import ServerError, UserError
from autosurgeon.serving.completions import Decoding, Server, complete_at, served_models
from autosurgeon.serving.link import address_of
from autosurgeon.serving.reading import EventLines

TASK = Task(task_id="t/0", bench="t", kind="stdin", prompt="# say\n", cluster="c", split=Split.GATE)
STREAM = "text/event-stream"


def ask(url: str, settings: ServingSettings = IMPATIENT) -> Answers:
    return complete_at(Server(url, settings), "m", [TASK], Decoding(20), lambda *_: None)


def json_answer(content: object) -> Callable[[Handler], None]:
    return lambda handler: handler.send(json.dumps(content).encode())


def endless(piece: bytes, kind: str = STREAM) -> Callable[[Handler], None]:
    def respond(handler: Handler) -> None:
        handler.begin(kind=kind)
        while True:
            handler.wfile.write(piece)

    return respond


def streamed(*pieces: bytes) -> Callable[[Handler], None]:
    def respond(handler: Handler) -> None:
        handler.begin(kind=STREAM)
        for piece in pieces:
            handler.wfile.write(piece)

    return respond


@pytest.mark.parametrize(
    ("respond", "message"),
    [
        (endless(event({"choices": [{"text": "x" * 500}]})), "an answer of more than 1130496 bytes"),
        (endless(b"data: " + b"x" * 1000), "an answer of more than"),
        (endless(b"[" * 1000, "application/json"), "an answer of more than"),
        (lambda h: h.send(b"<html>sign in</html>"), "not JSON"),
        (lambda h: h.send(b"[" * 100_000), "not JSON"),
        (lambda h: h.send(b'{"choices": [{"text": "\\ud800"}]}'), "not JSON"),
        (lambda h: h.send(b'{"choices": [{"text": "x", "logprobs": NaN}]}'), "not JSON"),
        (json_answer(["no", "object"]), "not a JSON object"),
        (json_answer({"model": "m"}), "choices: Field required"),
        (json_answer({"choices": []}), "no choices"),
        (json_answer({"choices": [{"text": "a"}, {"text": "b"}]}), "2 choices where one was requested"),
        (json_answer({"choices": [{"text": 3}]}), "choices.0.text"),
        (
            json_answer({"choices": [{"text": "x"}], "model": "another"}),
            "answered as 'another', though 'm' was requested",
        ),
        (json_answer({"choices": [{"text": "x"}], "x-autosurgeon-fallback": "yes"}), "x-autosurgeon-fallback"),
        (json_answer({"choices": [{"text": "x"}], "usage": {"completion_tokens": -1}}), "completion_tokens"),
        (json_answer({"choices": [{"text": "x", "finish_reason": "abort"}]}), "abandoned an answer"),
        (json_answer({"choices": [{"text": "x", "finish_reason": ""}]}), "an answer broke off"),
        (json_answer({"choices": [{"text": "x", "finish_reason": "Content_Filter"}]}), "'Content_Filter'"),
        (json_answer({"choices": [{"text": "x", "finish_reason": "overloaded"}]}), "'overloaded'"),
        (json_answer({"choices": [{"text": "", "finish_reason": "tool_calls"}]}), "'tool_calls'"),
        (json_answer({"choices": [{"text": None, "finish_reason": "stop"}]}), "an answer without a text"),
        (json_answer({"choices": [{"message": {"content": "x"}}]}), "choices.0.text"),
        (
            json_answer({"choices": [{"text": "x", "finish_reason": "length"}], "usage": {"completion_tokens": 7}}),
            "cut an answer at 7 of 20 tokens",
        ),
        (json_answer({"error": {"message": "CUDA out of memory"}}), "CUDA out of memory"),
        (streamed(b"data: [DONE]\n\n"), "no choices"),
        (streamed(event({"choices": [{"text": "torn"}]})), "an answer broke off"),
        (streamed(event({"choices": [{"text": "torn", "finish_reason": ""}]})), "an answer broke off"),
        (streamed(event({"choices": [{"text": "x", "finish_reason": "stop"}]}) * 2), "went on after the end"),
        (
            streamed(event({"choices": [{"text": "x"}], "usage": {"completion_tokens": 1}}) * 2),
            "sent a piece of an answer twice",
        ),
        (streamed(b"<html>", b"\n"), "an answer broke off"),
        (streamed(event({"choices": [{"text": "x"}]}), event({"error": "engine died"})), "engine died"),
        (lambda h: h.send(b"", 307, Location="http://example.org/v1"), "redirects to 'http://example.org/v1'"),
        (lambda h: h.send(b'{"detail": "no such model"}', 404), 'answered 404: \'{"detail": "no such model"}\''),
        (lambda h: h.send(b"", 401), "it wants an api_key"),
        (lambda h: h.send(b"busy", 503), "answered 503: 'busy'"),
        (lambda h: h.send(gzip.compress(b" " * 10_000_000), Content_Encoding="gzip"), "a compressed answer"),
        (lambda h: h.wfile.write(b"SMTP ready\r\n\r\n"), "RemoteProtocolError"),
        (lambda h: None, "RemoteProtocolError"),
    ],
)
def test_an_invalid_answer_is_an_error_that_names_the_server(respond: Callable[[Handler], None], message: str) -> None:
    with serving(respond) as server, pytest.raises(ServerError) as caught:
        ask(server.url)
    assert str(caught.value).startswith(f"server {server.url}: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("slowly", [b": alive\n", b"X-Header: on and on\r\n"])
def test_a_server_that_answers_slowly_reaches_the_deadline(slowly: bytes) -> None:
    def drip(handler: Handler) -> None:
        if slowly.startswith(b":"):
            handler.begin(kind=STREAM)
        else:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100):
            handler.wfile.write(slowly)
            time.sleep(0.05)

    began = time.monotonic()
    with serving(drip) as server, pytest.raises(ServerError, match=r"no complete answer within 0\.5 s"):
        ask(server.url, IMPATIENT.model_copy(update={"request_s": 0.5}))
    assert time.monotonic() - began < 4


def test_an_unavailable_server_is_retried_and_then_named() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/v1"
        with pytest.raises(ServerError, match=f"server {url}: ConnectError: .*, 3 times"):
            ask(url, IMPATIENT.model_copy(update={"retries": 2}))
        with pytest.raises(ServerError, match="ConnectError"):
            served_models(Server(url, IMPATIENT))


@pytest.mark.parametrize(
    "failure",
    [
        lambda h: h.send(b"slow down", 429, Retry_After="0"),
        lambda h: h.send(b"starting", 503),
        lambda h: None,
        streamed(event({"choices": [{"text": "to"}]})),
    ],
)
def test_a_temporary_failure_is_retried(failure: Callable[[Handler], None]) -> None:
    good, times = speak(lambda _: "print(1)\n"), itertools.count()

    def respond(handler: Handler) -> None:
        (failure if next(times) < 2 else good)(handler)

    with serving(respond) as server:
        answers = ask(server.url, IMPATIENT.model_copy(update={"retries": 2}))
    assert answers.replies["t/0"][0].text == "print(1)\n"
    assert len(server.bodies) == 3


def test_an_invalid_request_is_not_retried() -> None:
    with serving(lambda h: h.send(b"prompt too long", 400)) as server, pytest.raises(ServerError, match="too long"):
        ask(server.url, IMPATIENT.model_copy(update={"retries": 5}))
    assert len(server.bodies) == 1


TASKS = [TASK.model_copy(update={"task_id": f"t/{n}", "prompt": f"# {n}\n"}) for n in range(30)]


@pytest.mark.parametrize(
    ("respond", "reason"),
    [
        (lambda h: h.send(b"maximum context length is 20", 400), "answered 400: 'maximum context length is 20'"),
        (lambda h: h.send(b"<html>bad gateway</html>"), "not JSON"),
        (lambda h: h.send(b'{"choices": [{"text": "x'), "not JSON"),
        (json_answer({"choices": []}), "no choices"),
        (json_answer({"choices": [{"text": "x", "finish_reason": "content_filter"}]}), "content_filter"),
        (json_answer({"choices": [{"text": "x"}], "model": "another"}), "answered as 'another'"),
        (streamed(event({"choices": [{"text": "torn", "finish_reason": ""}]})), "an answer broke off, 2 times"),
        (lambda h: h.send(b"", 500), "answered 500: '', 2 times"),
    ],
)
@pytest.mark.parametrize("samples", [1, 3])
def test_what_a_server_does_to_one_prompt_leaves_that_task_unanswered_and_named(
    respond: Callable[[Handler], None], reason: str, samples: int
) -> None:
    good = speak(lambda _: "print(1)\n")

    def choose(handler: Handler) -> None:
        (respond if handler.body["prompt"] == "# 3\n" else good)(handler)

    settings = IMPATIENT.model_copy(update={"retries": 1})
    with serving(choose) as server:
        answers = complete_at(Server(server.url, settings), "m", TASKS, Decoding(20, samples), lambda *_: None)
    assert [len(answers.replies[task.task_id]) for task in TASKS] == [samples] * 3 + [0] + [samples] * 26
    assert list(answers.unanswered) == ["t/3"]
    assert reason in answers.unanswered["t/3"]
    assert answers.unanswered["t/3"].endswith("(task t/3)")


def test_many_refused_prompts_leave_the_others_answered() -> None:
    good = speak(lambda _: "print(1)\n")

    def refuse(handler: Handler) -> None:
        if handler.body["prompt"] < "# 3":
            handler.send(b"too long", 413)
        else:
            good(handler)

    with serving(refuse) as server:
        answers = complete_at(Server(server.url, IMPATIENT), "m", TASKS, Decoding(20), lambda *_: None)
    assert len(answers.unanswered) == sum(task.prompt < "# 3" for task in TASKS) > 8


def test_a_server_that_fails_for_many_tasks_in_a_row_ends_the_batch() -> None:
    good, times = speak(lambda _: "print(1)\n"), itertools.count()

    def die(handler: Handler) -> None:
        if next(times) < 3:
            good(handler)
        else:
            handler.send(b"gone", 503)

    with serving(die) as server, pytest.raises(ServerError, match="answered 503: 'gone'"):
        complete_at(Server(server.url, IMPATIENT), "m", TASKS, Decoding(20), lambda *_: None)
    assert len(server.bodies) < 20


def test_an_answer_cut_at_the_limit_of_tokens_is_an_answer() -> None:
    whole = {"choices": [{"text": "x", "finish_reason": "length"}], "usage": {"completion_tokens": 20}}
    with serving(json_answer(whole)) as server:
        assert ask(server.url).replies["t/0"][0].text == "x"


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with serving(speak(lambda _: "print(1)\n")) as server:
        assert ask(server.url).replies["t/0"][0].text == "print(1)\n"


@pytest.mark.parametrize(
    "url", ["", "vllm:8000", "ftp://host/v1", "http:///v1", "http://h:99999/v1", "http://h/v1?a=b", "http://me:pw@h/v1"]
)
def test_an_invalid_address_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(UserError) as caught:
        address_of(url)
    assert "pw" not in str(caught.value)


@given(st.lists(st.binary(max_size=12), max_size=6), st.data())
def test_lines_are_the_same_for_any_split_into_pieces(lines: list[bytes], data: Any) -> None:
    whole = b"".join(b"data: " + line.replace(b"\n", b"").replace(b"\r", b"") + b"\r\n" for line in lines)
    together = EventLines().feed(whole)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    torn, feed = [], EventLines()
    for start, end in itertools.pairwise([0, *cuts, len(whole)]):
        torn += feed.feed(whole[start:end])
    assert torn == together
    assert len(together) == len(lines)
