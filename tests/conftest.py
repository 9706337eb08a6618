"""What holds for every test: Hypothesis judges results, never the speed of the machine. And a PostgreSQL server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from databases import empty_database, postgres_server
from hypothesis import HealthCheck, settings

# Before torch is imported: on a busy machine, threads that spin at every barrier take the other tests' time.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

settings.register_profile("house", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a database on a server of these tests' own; it skips where no server can be started."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def url(postgres: str) -> str:
    """An empty PostgreSQL database."""
    empty_database(postgres)
    return postgres
