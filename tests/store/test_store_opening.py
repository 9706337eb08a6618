"""Errors of a database address, and that they show no secret."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
from databases import OTHERS, Place, run_sql

from autosurgeon.errors import StoreError, WorkspaceError
from autosurgeon.store.address import public_name, read_address, without_secrets
from autosurgeon.store.database import snapshot, transaction
from autosurgeon.store.sqlstore import SqlStore
from autosurgeon.store.tables import LiveRow

SECRET = "hunter2secret"


def test_a_workspace_that_is_not_there_is_not_made_by_looking(path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no workspace here"):
        SqlStore(path)
    assert not path.parent.exists()


def test_an_empty_database_is_no_workspace_until_a_run_makes_one(place: Place) -> None:
    if isinstance(place, Path):
        place.parent.mkdir()
        place.touch()
    with pytest.raises(WorkspaceError, match="no workspace here"):
        SqlStore(place)
    SqlStore(place, create=True).close()
    SqlStore(place).close()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, not even nearly; " * 50)
    with pytest.raises(WorkspaceError, match="cannot be opened"):
        SqlStore(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    path = tmp_path / "100% of ?mode=ro & #1 ä" / "data" / "autosurgeon.db"
    SqlStore(path, create=True).close()
    SqlStore(path).close()
    assert path.is_file()


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://ann:{SECRET}@host/db",
        f"postgresql+asyncpg://ann:{SECRET}@host/db",
        f"postgresql://ann:{SECRET}@host",
        f"postgresql://ann:{SECRET}@host:no-port/db",
        f"ann:{SECRET}@host/db",
        f"sqlite:///{SECRET}.db",
        "",
    ],
)
def test_a_url_that_names_no_postgresql_database_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(WorkspaceError, match=r"store\.url .*postgresql\+psycopg://USER") as caught:
        SqlStore(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_does_not_answer_is_reported_without_the_secret(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    for url in (
        f"postgresql://ann:{SECRET}@127.0.0.1:1/db",
        f"postgresql://ann@/db?host={tmp_path}/{SECRET}&password={SECRET}",
    ):
        with pytest.raises(WorkspaceError, match=r"cannot be opened; got .*failed.*; wanted .*store\.url") as caught:
            SqlStore(url, create=True)
        assert SECRET not in str(caught.value)


def test_a_missing_database_is_reported_with_the_command_that_creates_it(url: str) -> None:
    with pytest.raises(WorkspaceError, match=r'"nowhere" does not exist.*createdb'):
        SqlStore(url.replace("/postgres?", "/nowhere?"), create=True)


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_psycopg(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "psycopg":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_psycopg)
    with pytest.raises(WorkspaceError, match=r"autosurgeon\[postgres\]"):
        SqlStore(f"postgresql://ann:{SECRET}@host/db")


def test_an_address_is_shown_without_its_user() -> None:
    url = read_address(f"postgresql://ann:{SECRET}@db.example:5433/night?password={SECRET}x")
    assert public_name(url) == "postgresql://db.example:5433/night"
    assert without_secrets(url, f"bad {SECRET}x and {SECRET}") == "bad *** and ***"


def test_a_server_that_goes_away_stops_the_loop(url: str) -> None:
    store = SqlStore(url, create=True)
    with pytest.raises(StoreError, match="the store failed, so the loop stops"), transaction(store._engine) as session:
        session.add(LiveRow(version=1, pack="p", decision_id="d", at="now"))
        session.flush()
        run_sql(url, f"SELECT pg_terminate_backend(pid) {OTHERS}")
        session.add(LiveRow(version=2, pack="p", decision_id="d", at="now"))
    assert store.live() is None, "the next connection is a new one, and nothing of the old one's work is there"
    store.close()


def test_a_store_that_is_opened_to_look_cannot_write(store: SqlStore) -> None:
    with pytest.raises(StoreError, match=r"(?i)read-?only"), snapshot(store._engine) as session:
        session.add(LiveRow(version=1, pack="p", decision_id="d", at="now"))
    assert store.live() is None
