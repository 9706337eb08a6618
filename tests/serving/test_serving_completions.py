"""A server's answers: requested concurrently, cut by the rule of the capsule, with the handler that gave them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from modelserver import IMPATIENT, Handler, ModelServer, serving, speak
from pydantic import SecretStr

from autosurgeon.core.answers import Answers, Reply
from autosurgeon.core.task import Split, Task
from autosurgeon.errors import UserError
from autosurgeon.serving.completions import Decoding, Server, choose_model, complete_at, served_models

BODY = "    return 1\n\nprint('rambles on')\n" + "x = 1\n" * 200


def make_tasks(count: int = 3, kind: Any = "function") -> list[Task]:
    return [
        Task(task_id=f"t/{n}", bench="t", kind=kind, prompt=f"def f{n}():\n", cluster="c", split=Split.GATE)
        for n in range(count)
    ]


def asked(server: ModelServer, tasks: Sequence[Task] | None = None, model: str = "m", **decoding: Any) -> Answers:
    how = Decoding(**({"max_new_tokens": 50} | decoding))
    return complete_at(Server(server.url, IMPATIENT), model, tasks or make_tasks(), how, lambda *_: None)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_function_is_cut_at_its_dedent_and_a_program_is_not(streamed: bool) -> None:
    with serving(speak(lambda _: BODY, streamed=streamed)) as server:
        functions, programs = asked(server), asked(server, make_tasks(kind="stdin"))
    assert {reply.text for found in functions.replies.values() for reply in found} == {"    return 1\n\n"}
    assert {reply.text for found in programs.replies.values() for reply in found} == {BODY}
    assert programs.replies["t/0"][0].tokens == len(BODY)


def test_the_request_is_closed_when_a_function_ends() -> None:
    left = threading.Event()

    def ramble(handler: Handler) -> None:
        handler.begin(kind="text/event-stream")
        handler.wfile.write(b'data: {"choices": [{"text": "    return 1\\nprint()"}], "model": "m"}\n\n')
        try:
            for _ in range(500):
                handler.wfile.write(b'data: {"choices": [{"text": "more\\n"}], "model": "m"}\n\n')
                time.sleep(0.01)
        except ConnectionError:
            left.set()

    with serving(ramble) as server:
        answers = asked(server, make_tasks(1))
        assert left.wait(5)
    assert answers.replies == {"t/0": [Reply(text="    return 1\n", tokens=1, model="m")]}


def test_the_handler_that_answered_is_read_from_keys_and_headers() -> None:
    fields = {"x-autosurgeon-handler": "planner", "x-autosurgeon-fallback": True}
    with serving(speak(lambda _: "    pass\n", fields=fields)) as server:
        by_keys = asked(server, make_tasks(1)).replies["t/0"][0]
    with serving(
        lambda handler: handler.send(
            b'{"choices": [{"text": "    pass\\n"}]}', X_Autosurgeon_Handler="ariz", X_Autosurgeon_Fallback="false"
        )
    ) as server:
        by_headers = asked(server, make_tasks(1)).replies["t/0"][0]
    assert (by_keys.handler, by_keys.fallback, by_keys.model) == ("planner", True, "m")
    assert (by_headers.handler, by_headers.fallback, by_headers.model, by_headers.tokens) == ("ariz", False, None, None)


def test_the_settings_limit_the_number_of_concurrent_requests() -> None:
    together = threading.Barrier(IMPATIENT.concurrency)

    def answer(_: dict[str, Any]) -> str:
        together.wait(10)
        return "    pass\n"

    seen: list[tuple[int, int]] = []
    with serving(speak(answer)) as server:
        complete_at(Server(server.url, IMPATIENT), "m", make_tasks(8), Decoding(5), lambda *done: seen.append(done))
    assert seen == [(n, 8) for n in range(1, 9)]


def test_every_sample_has_its_own_reproducible_seed() -> None:
    def answer(body: dict[str, Any]) -> str:
        return f"    return {body['seed']}\n"

    with serving(speak(answer)) as server:
        once, again = (asked(server, samples=4, temperature=0.8, seed=3) for _ in range(2))
        other = asked(server, samples=4, temperature=0.8, seed=4)
    texts = [reply.text for found in once.replies.values() for reply in found]
    assert (len(texts), len(set(texts))) == (12, 12)
    assert once == again
    assert not set(texts) & {reply.text for found in other.replies.values() for reply in found}


def test_a_request_contains_the_decoding_and_the_extra_fields() -> None:
    settings = IMPATIENT.model_copy(update={"extra_body": {"top_k": 0}})
    with serving(speak(lambda _: "    pass\n")) as server:
        complete_at(Server(server.url, settings, SecretStr("hush")), "m", make_tasks(1), Decoding(9), lambda *_: None)
        body, headers = server.bodies[0], server.requests[0][2]
    assert (
        body.items() >= {"model": "m", "prompt": "def f0():\n", "max_tokens": 9, "temperature": 0, "top_k": 0}.items()
    )
    assert headers["Authorization"] == "Bearer hush"
    assert "Cookie" not in headers


@pytest.mark.parametrize("extra", [{"prompt": "mine"}, {"min_p": float("nan")}])
def test_reserved_fields_and_values_that_are_not_json_cannot_be_added(extra: dict[str, Any]) -> None:
    settings = IMPATIENT.model_copy(update={"extra_body": extra})
    with pytest.raises(UserError, match=r"serving\.extra_body"):
        complete_at(Server("http://127.0.0.1:9/v1", settings), "m", make_tasks(), Decoding(9), lambda *_: None)


def test_other_settings_and_another_build_of_the_server_change_the_fingerprint() -> None:
    prints = set()
    for build in ("b1", "b2"):
        with serving(speak(lambda _: "    pass\n", fields={"system_fingerprint": build})) as server:
            prints |= {asked(server, max_new_tokens=tokens).fingerprint for tokens in (5, 6)}
    assert len(prints) == 4


def test_the_only_model_of_a_server_needs_no_name() -> None:
    with serving(speak(lambda _: "", model="digest")) as server:
        address = Server(server.url + "/", IMPATIENT)
        assert served_models(address) == ["digest"]
        assert choose_model(address, None) == choose_model(address, "digest") == "digest"
        with pytest.raises(UserError, match="does not serve this model; got digits; wanted did you mean 'digest'"):
            choose_model(address, "digits")


def test_several_models_need_a_name() -> None:
    with (
        serving(lambda handler: handler.send(b'{"data": [{"id": "a"}, {"id": "b"}]}')) as server,
        pytest.raises(UserError, match="got a, b; wanted the name of one"),
    ):
        choose_model(Server(server.url, IMPATIENT), None)
