from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Place

from autosurgeon.store.sqlstore import SqlStore


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
