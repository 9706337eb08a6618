"""What holds for every test: Hypothesis judges results, never the speed of the machine; and a PostgreSQL server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import empty_database, postgres_server
from graders import close_graders
from hypothesis import HealthCheck, settings

# Before torch is imported: on a busy machine, threads that spin at every barrier take the other tests' time, and where
# files of tests share the cores, more than one thread a process gains nothing with models as small as these.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

LONGEST = (
    "e2e/test_e2e_lab.py",
    "loop/test_loop_kills.py",
    "cli/test_cli_control.py",
    "runner/test_runner_capsules.py",
    "loop/test_loop_durability.py",
    "loop/test_loop_machine.py",
    "loop/test_loop_kills_postgres.py",
    "loop/test_loop_pause.py",
    "loop/test_loop_training_state.py",
    "attacks/test_attacks.py",
    "runner/test_runner_lifetime.py",
)
"""Files of tests that take longest, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where files go to several processes, the longest begin first, so that none is alone in the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        order = {TESTS / name: number for number, name in enumerate(LONGEST)}
        items.sort(key=lambda item: order.get(item.path, len(order)))


TESTS = Path(__file__).parent

settings.register_profile("house", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture(scope="module", autouse=True)
def no_grader_is_left() -> Iterator[None]:
    """A file's jails end with it: other files look for processes that are left."""
    yield
    close_graders()


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
