from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Place, postgres_server

from autosurgeon.store.sqlstore import SqlStore

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Path]:
    with postgres_server() as folder:
        yield folder


@pytest.fixture
def url(postgres: Path) -> str:
    """An empty PostgreSQL database."""
    name = f"w{next(NUMBERS)}"
    admin = f"postgresql+psycopg://postgres@/postgres?host={postgres}"
    _outside_a_transaction(admin, f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://postgres:s3cret@/{name}?host={postgres}"


def _outside_a_transaction(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a SQLite file may be made."""
    return tmp_path / "data" / "autosurgeon.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, path: Path) -> Place:
    """Where a store may be made, on each kind of database."""
    if request.param == "sqlite":
        return path
    found: str = request.getfixturevalue("url")
    return found


@pytest.fixture
def store(place: Place) -> Iterator[SqlStore]:
    store = SqlStore(place, create=True)
    yield store
    store.close()
