"""`doctor` tries whatever the settings name: real programs, servers, folders and databases, each with its own row."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import run_sql
from doctored import SECRET, finding, findings
from modelserver import Handler, ModelServer
from organs import write_tiny_organ
from runtimes import runtime

from autosurgeon.cli.checks import Check, Finding, try_check
from autosurgeon.cli.doctor_settings import TRIED, check_settings
from autosurgeon.config import Settings
from autosurgeon.places import place_settings
from autosurgeon.store.sqlstore import SqlStore


def test_every_setting_that_names_a_place_is_tried() -> None:
    assert {setting.name for setting in place_settings(Settings)} <= TRIED.keys()


def test_settings_that_name_nothing_have_no_rows(tmp_path: Path) -> None:
    names = {check.name for check in check_settings(tmp_path, Settings())}
    assert names == {"policy", "organ", "benches", "capsule stack", "device", "store"}


def test_a_check_that_hangs_or_breaks_is_a_finding_of_one_line() -> None:
    def breaks() -> str:
        raise KeyError("two\nlines")

    def hangs() -> str:
        time.sleep(5)
        return ""

    late = try_check(Check("late", hangs, 0.05))
    assert late == Finding("late", False, "no answer within 0.05 s")
    assert try_check(Check("broken", breaks)).found.startswith("the check itself failed: KeyError")


# --- the webhook --------------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[tuple[socket.socket, int]]:
    """Somebody who accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server, server.getsockname()[1]


def test_a_webhook_is_connected_to_and_nothing_is_posted(
    tmp_path: Path, listener: tuple[socket.socket, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server, port = listener
    found = finding(tmp_path, f"[notify]\nwebhook = 'http://127.0.0.1:{port}/{SECRET}'\n", "notify.webhook")
    assert found.ok
    server.settimeout(5)
    connection, _ = server.accept()
    with connection:
        assert connection.recv(100) == b""


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"http://127.0.0.1:1/{SECRET}", "cannot be reached"),
        (f"http://{SECRET}.invalid/", "cannot be reached"),
        (f"ftp://example.org/{SECRET}", "no http or https address"),
        (f"http://[::1/{SECRET}", "no http or https address"),
        (f"http://example.org:99999/{SECRET}", "no http or https address"),
        (SECRET, "no http or https address"),
    ],
)
def test_a_webhook_that_cannot_be_reached_is_a_finding_without_its_address(
    tmp_path: Path, url: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    found = finding(tmp_path, f"[notify]\nwebhook = '{url}'\n", "notify.webhook")
    assert not found.ok
    assert problem in found.found


# --- the runtime and the fallback ----------------------------------------------------------------------------------


def test_a_runtime_need_not_answer_before_anything_was_deployed(tmp_path: Path) -> None:
    text = "[deploy]\npromote = ['true']\nurl = 'http://127.0.0.1:1/v1'\n"
    found = finding(tmp_path, text, "deploy.url")
    assert found.ok
    assert "nothing is deployed yet" in found.found
    with runtime(tmp_path / "served") as deployed:
        assert (
            finding(tmp_path, text.replace("http://127.0.0.1:1/v1", deployed.url), "deploy.url").found == "it answers"
        )


def test_a_fallback_server_is_asked_for_its_models(tmp_path: Path) -> None:
    def lists(handler: Handler) -> None:
        handler.send(json.dumps({"object": "list", "data": [{"id": "mia"}]}).encode())

    server = ModelServer(lists)
    with server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        assert finding(tmp_path, f"[fallback]\nurl = '{server.url}'\n", "fallback.url").found == "it serves mia"
        other = finding(tmp_path, f"[fallback]\nurl = '{server.url}'\nserved = 'mi'\n", "fallback.url")
        assert (other.ok, "did you mean 'mia'" in other.found) == (False, True)
        server.shutdown()
    away = finding(tmp_path, "[fallback]\nurl = 'http://127.0.0.1:1/v1'\n", "fallback.url")
    assert not away.ok


def test_a_fallback_model_is_looked_at(tmp_path: Path) -> None:
    write_tiny_organ(tmp_path / "model")
    assert finding(tmp_path, "[fallback]\nmodel = 'model'\n", "fallback.model").ok
    (tmp_path / "model" / "model.bin").write_bytes(b"")
    assert "pickled" in finding(tmp_path, "[fallback]\nmodel = 'model'\n", "fallback.model").found
    assert not finding(tmp_path, "[fallback]\nmodel = 'nowhere'\n", "fallback.model").ok


def test_fields_and_keys_that_no_request_can_hold_are_findings(tmp_path: Path) -> None:
    assert "prompt" in finding(tmp_path, "[serving]\nextra_body = {prompt = 'x'}\n", "serving").found
    key = finding(tmp_path, f'[serving]\napi_key = "{SECRET}\\nX: y"\n', "serving")
    assert (key.ok, "serving.api_key" in key.found) == (False, True)
    assert finding(tmp_path, "[serving]\nextra_body = {top_k = 5}\n", "serving").ok


# --- files and folders ----------------------------------------------------------------------------------------------


def test_the_copy_of_checkpoints_is_tried_by_a_file_that_does_not_stay(tmp_path: Path) -> None:
    text = "[audit]\ncheckpoint_copy = 'far/away'\n"
    found = finding(tmp_path, text, "audit.checkpoint_copy")
    assert found.ok
    assert not (tmp_path / "far").exists()
    (tmp_path / "far/away").mkdir(parents=True)
    assert finding(tmp_path, text, "audit.checkpoint_copy").ok
    assert list((tmp_path / "far/away").iterdir()) == []
    (tmp_path / "far/away").rmdir()
    (tmp_path / "far/away").write_text("a file")
    blocked = finding(tmp_path, text, "audit.checkpoint_copy")
    assert (blocked.ok, "audit.checkpoint_copy" in blocked.found) == (False, True)
    assert (tmp_path / "far/away").read_text() == "a file"


def test_each_file_of_a_bench_has_a_row(tmp_path: Path) -> None:
    text = "[benches.mine]\ntasks = 'tasks.jsonl'\nquarantine = 'shut.json'\n"
    (tmp_path / "shut.json").write_text("{}")
    found = findings(tmp_path, text, "benches")
    assert set(found) == {"benches.mine.tasks", "benches.mine.quarantine", "benches"}
    assert not any(one.ok for one in found.values())
    assert str(tmp_path / "tasks.jsonl") in found["benches.mine.tasks"].found


@pytest.mark.parametrize("setting", ["policy", "benches.mine.tasks", "benches.mine.quarantine"])
def test_a_pipe_in_place_of_a_file_is_a_finding_and_no_wait(tmp_path: Path, setting: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    if setting == "policy":
        text = "policy = 'pipe'\n"
    else:
        files = {"tasks": "tasks", "quarantine": "q"} | {setting.rsplit(".", 1)[1]: "pipe"}
        text = "[benches.mine]\n" + "".join(f"{name} = '{file}'\n" for name, file in files.items())
    found = finding(tmp_path, text, setting)
    assert (found.ok, "a pipe or a device" in found.found) == (False, True)


def test_a_device_in_place_of_tasks_is_not_read_by_any_check(tmp_path: Path) -> None:
    found = findings(tmp_path, "[benches.mine]\ntasks = '/dev/zero'\n", "benches")
    assert [(one.ok, "a pipe or a device" in one.found) for one in found.values()] == [(False, True)] * 2


def test_a_warm_start_is_not_blamed_for_an_organ_that_is_none(tmp_path: Path) -> None:
    text = "[organ]\nmodel = 'nowhere'\n[search]\nwarm_start = ['last']\n"
    (found,) = findings(tmp_path, text, "search.warm_start").values()
    assert (found.ok, "see `organ`" in found.found) == (False, True)


def test_an_organ_that_is_none_is_a_finding(tmp_path: Path) -> None:
    assert "a model folder is missing" in finding(tmp_path, "[organ]\nmodel = 'nowhere'\n", "organ").found


# --- other workspaces and the memory -------------------------------------------------------------------------------


def with_database(root: Path, statement: str = "") -> Path:
    """A workspace with an empty memory, on which a statement was run."""
    path = root / "data" / "autosurgeon.db"
    SqlStore(path, create=True).close()
    if statement:
        run_sql(path, statement)
    return root


NEWER = "UPDATE alembic_version SET version_num = '9999'"


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda root: root, "there is no workspace here"),
        (lambda root: with_database(root, NEWER), "newer autosurgeon"),
        (lambda root: with_database(root), "another organ"),
    ],
)
def test_a_warm_start_that_cannot_be_read_is_a_finding(tmp_path: Path, make: object, problem: str) -> None:
    assert callable(make)
    make(tmp_path / "last")
    (found,) = findings(tmp_path, "[search]\nwarm_start = ['last']\n", "search.warm_start").values()
    assert (found.ok, problem in found.found) == (False, True)
    assert str(tmp_path / "last") in found.check


def test_a_warm_start_is_asked_for_its_own_memory_and_not_for_the_one_that_a_variable_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSURGEON_STORE__URL", "postgresql+psycopg://me@127.0.0.1:1/night")
    with_database(tmp_path / "last")
    (found,) = findings(tmp_path, "[search]\nwarm_start = ['last']\n", "search.warm_start").values()
    assert "another organ" in found.found


def test_the_memory_is_looked_at_and_not_upgraded(tmp_path: Path) -> None:
    assert finding(tmp_path, "", "store").found.startswith("no memory yet")
    assert not (tmp_path / "data").exists()
    with_database(tmp_path)
    assert finding(tmp_path, "", "store").ok
    run_sql(tmp_path / "data" / "autosurgeon.db", "UPDATE alembic_version SET version_num = '0006'")
    assert "schema 0006, brought up to date" in finding(tmp_path, "", "store").found
    assert run_sql(tmp_path / "data" / "autosurgeon.db", "SELECT version_num FROM alembic_version") == [("0006",)]
    run_sql(tmp_path / "data" / "autosurgeon.db", NEWER)
    assert not finding(tmp_path, "", "store").ok


def test_a_memory_that_is_none_or_gone_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "autosurgeon.db").write_bytes(b"no database" * 100)
    assert not finding(tmp_path, "", "store").ok
    (tmp_path / "data" / "autosurgeon.db").unlink()
    (tmp_path / "logs" / "checkpoints").mkdir(parents=True)
    (tmp_path / "logs" / "checkpoints" / "00000042.json").write_text("{}")
    gone = finding(tmp_path, "", "store")
    assert (gone.ok, "restore" in gone.found) == (False, True)


def test_a_store_that_does_not_answer_is_a_finding_without_its_password(tmp_path: Path) -> None:
    text = f"[store]\nurl = 'postgresql+psycopg://me:{SECRET}@127.0.0.1:1/night'\n"
    found = finding(tmp_path, text, "store")
    assert (found.ok, "createdb" in found.found) == (False, True)
    assert not finding(tmp_path, f"[store]\nurl = 'mysql://me:{SECRET}@host/night'\n", "store").ok


def test_a_store_is_written_to_and_nothing_stays(tmp_path: Path, url: str) -> None:
    found = finding(tmp_path, f"[store]\nurl = '{url}'\n", "store")
    assert found.ok
    assert "nothing in it yet" in found.found and "it can be written" in found.found
    assert run_sql(url, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == [(0,)]
    SqlStore(url, create=True).close()
    run_sql(url, NEWER)
    assert "newer autosurgeon" in finding(tmp_path, f"[store]\nurl = '{url}'\n", "store").found


def test_a_file_of_sqlite_that_is_not_sqlite_does_not_change(tmp_path: Path) -> None:
    path = tmp_path / "data" / "autosurgeon.db"
    path.parent.mkdir()
    sqlite3.connect(path).execute("CREATE TABLE other (number integer)").connection.close()
    before = path.read_bytes()
    assert "other tables" in finding(tmp_path, "", "store").found
    assert path.read_bytes() == before
