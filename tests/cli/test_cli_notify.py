"""`notify test` and `doctor --notify`: a marked document goes through both channels, and what came back is reported."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from program import autosurgeon

SECRET = "token-4711"


@contextlib.contextmanager
def webhook(status: int, hang_s: float = 0) -> Iterator[tuple[str, list[str]]]:
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
            pass

    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/{SECRET}", posted
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def set_up(root: Path, **settings: object) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (root / "autosurgeon.toml").write_text("\n".join(["[notify]", *lines]))


def ends(root: Path, *options: str) -> tuple[int, dict[str, dict[str, object]]]:
    done = autosurgeon("notify", "test", "--workspace", root, "--json", *options)
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.returncode, {end["channel"]: end for end in json.loads(done.stdout)}


def test_a_test_document_is_marked_and_goes_through_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    book = tmp_path / "page"
    book.write_text("#!/bin/sh\ncat > got\necho paged mia\n")
    book.chmod(0o755)
    with webhook(204) as (url, posted):
        set_up(tmp_path, command=["./page"], webhook=url)
        code, found = ends(tmp_path)
    assert code == 0
    assert (found["webhook"]["ok"], found["webhook"]["found"]) == (True, "HTTP 204")
    assert (found["command"]["found"], found["command"]["output"]) == ("exit code 0", "paged mia")
    document = json.loads(posted[0])
    assert (document["event"], document["test"], document["workspace"]) == ("test", True, tmp_path.name)
    # The command runs in the workspace, wherever the program was started.
    assert json.loads((tmp_path / "got").read_text())["event"] == "test"


@pytest.mark.parametrize(
    ("command", "found", "output"),
    [
        (["sh", "-c", "echo no route >&2; exit 7"], "exit code 7", "no route"),
        (["/no/such/program", SECRET], "FileNotFoundError", ""),
        (["sh", "-c", "sleep 60"], "deadline", ""),
    ],
)
def test_a_command_that_fails_is_a_finding(tmp_path: Path, command: list[str], found: str, output: str) -> None:
    set_up(tmp_path, command=command, deadline_s=0.5)
    code, ended = ends(tmp_path)
    assert code == 15
    assert ended["command"] == {"channel": "command", "ok": False, "found": found, "output": output}


def test_a_webhook_that_refuses_hangs_or_is_away_is_a_finding_without_its_address(tmp_path: Path) -> None:
    with webhook(500) as (url, _):
        set_up(tmp_path, webhook=url)
        assert ends(tmp_path) == (
            15,
            {"webhook": {"channel": "webhook", "ok": False, "found": "HTTPError 500", "output": ""}},
        )
    with webhook(200, hang_s=1) as (url, _):
        set_up(tmp_path, webhook=url, deadline_s=0.2)
        assert ends(tmp_path)[0] == 15
    set_up(tmp_path, webhook=f"http://127.0.0.1:1/{SECRET}")
    assert ends(tmp_path)[1]["webhook"]["found"] == "URLError"
    set_up(tmp_path, webhook=SECRET)
    assert ends(tmp_path)[1]["webhook"]["found"] == "ValueError"


def test_a_table_of_the_ends_has_a_hint(tmp_path: Path) -> None:
    set_up(tmp_path, command=["./nowhere"])
    done = autosurgeon("notify", "test", "--workspace", tmp_path)
    assert done.returncode == 15
    assert "notify.command\tfailed\tFileNotFoundError; the program" in done.stdout


def test_where_nothing_is_named_there_is_nothing_to_test(tmp_path: Path) -> None:
    done = autosurgeon("notify", "test", "--workspace", tmp_path)
    assert (done.returncode, "wanted command or webhook under [notify]" in done.stderr) == (2, True)


@pytest.mark.parametrize("asked", [True, False])
def test_doctor_sends_a_test_only_where_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    monkeypatch.setattr("autosurgeon.bench.jail_selfcheck.check_jail", lambda grading: [])
    monkeypatch.setattr("autosurgeon.cli.doctor_capsule.Interpreter.stack", lambda self: "as it is")
    monkeypatch.setattr("autosurgeon.cli.doctor_capsule.Interpreter.device", lambda self: "as it is")
    set_up(tmp_path, command=["sh", "-c", "cat > got; exit 3"])
    done = autosurgeon("doctor", "--workspace", tmp_path, "--json", *(["--notify"] if asked else []))
    assert done.returncode == (15 if asked else 0), done.stdout
    assert (tmp_path / "got").exists() == asked
    rows = {row["check"]: row for row in json.loads(done.stdout)}
    assert rows["notify.command"]["ok"]
    assert ("notify test: command" in rows) == asked
