"""Notifications: each event is delivered once, and a receiver that hangs, fails or lies does not affect the run."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs
from theatre import learns_everything, small_theatre

from autosurgeon.config import Settings, load_settings
from autosurgeon.errors import UserError
from autosurgeon.loop.engine.stop_requests import ask, paused
from autosurgeon.loop.run_passes import run

SECRET = "token-4711"


def run_and_notify(root: Path, **notify: Any) -> list[Any]:
    """Run a pass with notifications; return the logged failures once all are delivered."""
    with capture_logs() as logged, small_theatre(root, learns_everything, notify=notify) as ins:
        assert run(ins) == "passes"
        assert ins.store.get_pass(1).state == "CONFIRMED"
        wait_for_deliveries()
    return [line for line in logged if line["event"] == "notify_failed"]


def wait_for_deliveries() -> None:
    for thread in threading.enumerate():
        if thread.name == "autosurgeon-notify":
            thread.join(30)
            assert not thread.is_alive()


def by_event(documents: list[str]) -> dict[str, Any]:
    """The documents by event, each delivered once, in any order."""
    received = {document["event"]: document for document in map(json.loads, documents)}
    assert len(received) == len(documents)
    return received


def test_a_command_receives_every_pass_and_the_end_with_their_facts(tmp_path: Path) -> None:
    book = tmp_path / "book"
    book.mkdir()
    assert run_and_notify(tmp_path / "night", command=("sh", "-c", f"cat > {book}/$$")) == []
    received = by_event([file.read_text() for file in book.iterdir()])
    assert set(received) == {"pass", "end"}
    assert received["pass"] | {"at": ""} == {
        "event": "pass",
        "at": "",
        "workspace": "night",
        "pass": 1,
        "state": "CONFIRMED",
        "verdict": "ACCEPT",
        "reason": received["pass"]["reason"],
        "detail": None,
        "live_version": 2,
    }
    assert (received["end"]["reason"], received["end"]["pass"], received["end"]["live_version"]) == ("passes", None, 2)


def test_a_pause_is_notified(tmp_path: Path) -> None:
    book = tmp_path / "book"
    book.mkdir()
    with small_theatre(tmp_path / "w", learns_everything, notify={"command": ("sh", "-c", f"cat > {book}/$$")}) as ins:
        ask(ins.workspace, "pause", "mia", None)

        def let_go() -> None:
            while paused(ins.workspace) is None:
                time.sleep(0.01)
            ask(ins.workspace, "run", "mia", None)

        thread = threading.Thread(target=let_go)
        thread.start()
        run(ins)
        thread.join()
        wait_for_deliveries()
    assert by_event([file.read_text() for file in book.iterdir()])["paused"]["reason"] == "asked"


def test_a_command_that_hangs_is_killed_with_its_children_and_the_run_does_not_wait(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    hang = ("sh", "-c", f"(sleep 2; touch {marks}/child) & sleep 600")
    failures = run_and_notify(tmp_path / "w", command=hang, deadline_s=0.3)
    assert {line["why"] for line in failures} == {"deadline"}
    time.sleep(2.2)
    assert list(marks.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("sh", "-c", f": {SECRET}; exit 3"), "exit code 3"),
        (("/nowhere/at/all", SECRET), "FileNotFoundError"),
        (("sh", "-c", f"exec <&-; : {SECRET}; kill -9 $$"), "exit code -9"),
    ],
)
def test_a_command_that_fails_is_logged_without_its_arguments(
    tmp_path: Path, command: tuple[str, ...], why: str
) -> None:
    failures = run_and_notify(tmp_path, command=command)
    assert len(failures) == 2
    assert {line["why"] for line in failures} <= {why, "BrokenPipeError"}
    assert SECRET not in repr(failures)


@contextlib.contextmanager
def server(status: int, *, hang_s: float = 0) -> Iterator[tuple[str, list[str]]]:
    """A real server on this machine: its address, and what was posted to it."""
    posted: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            time.sleep(hang_s)
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/{SECRET}", posted
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def test_a_webhook_gets_the_document(tmp_path: Path) -> None:
    with server(200) as (url, posted):
        assert run_and_notify(tmp_path, webhook=url) == []
    assert set(by_event(posted)) == {"pass", "end"}


def test_a_webhook_that_refuses_is_logged_without_its_address(tmp_path: Path) -> None:
    with server(500) as (url, posted):
        failures = run_and_notify(tmp_path, webhook=url)
    assert len(posted) == 2
    assert [line["why"] for line in failures] == ["HTTPError 500"] * 2
    assert SECRET not in repr(failures)


def test_a_webhook_that_hangs_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    with server(200, hang_s=1) as (url, _):
        failures = run_and_notify(tmp_path, webhook=url, deadline_s=0.2)
    assert len(failures) >= 2
    assert {line["why"] for line in failures} <= {"deadline", "TimeoutError", "URLError"}


@pytest.mark.parametrize("url", [f"file:///etc/{SECRET}", SECRET, f"http://127.0.0.1:1/{SECRET}"])
def test_a_webhook_that_is_none_is_logged_and_no_file_is_opened(tmp_path: Path, url: str) -> None:
    failures = run_and_notify(tmp_path, webhook=url)
    assert {line["why"] for line in failures} <= {"ValueError", "URLError"}
    assert len(failures) == 2
    assert SECRET not in repr(failures)


def test_the_address_of_a_webhook_is_never_printed(tmp_path: Path) -> None:
    settings = Settings.model_validate({"notify": {"webhook": f"https://example.org/{SECRET}"}})
    assert SECRET not in repr(settings) + str(settings.model_dump())
    file = tmp_path / "autosurgeon.toml"
    file.write_text(f"[notify]\nwebhook = ['{SECRET}']\n")
    with pytest.raises(UserError, match=r"notify\.webhook") as caught:
        load_settings(file)
    assert SECRET not in str(caught.value)


def test_without_a_command_or_address_no_one_is_notified(tmp_path: Path) -> None:
    assert run_and_notify(tmp_path) == []
    assert structlog.get_logger() is not None
