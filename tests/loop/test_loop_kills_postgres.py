"""The same with the memory on a PostgreSQL server: the loop is killed, and so is the server."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import PostgresServer, empty_database, postgres_cluster
from invariants import State, check, state_of
from kills import Nights

from autosurgeon.core.hash_chain import Head

POINTS = ("run-begun", "transaction-written", "pass-begun", "stage-worked:3", "transaction-committed:4", "decided:2")
"""Where the loop is killed, start after start; a number is a passage of that start."""


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    served = Nights(tmp_path_factory.mktemp("nights"))
    yield served
    served.close()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def reference(nights: Nights, server: PostgresServer) -> State:
    root = nights.workspace()
    assert nights.run(root, 1, store=server.url).status == 0
    return state_of(root, server.url)


def test_a_loop_that_is_killed_leaves_nothing_half_done_on_the_server(
    nights: Nights, server: PostgresServer, reference: State
) -> None:
    empty_database(server.url)
    root, heads = nights.workspace(), list[Head]()
    for point in POINTS:
        name, _, number = point.partition(":")
        ended = nights.run(root, 1, store=server.url, fail=f"{name}:kill:{number or 1}")
        assert ended.status == -signal.SIGKILL, f"{point}: {ended.output}"
        heads += nights.looked_at(root, server.url)
    ended = nights.run(root, 1, store=server.url)
    assert ended.status == 0, ended.output
    check(root, reference, heads, server.url)


@pytest.mark.parametrize("stage", ["dataset", "train", "smoke"])
def test_a_server_that_is_killed_ends_the_run_with_its_own_code_and_the_next_start_goes_on(
    nights: Nights, server: PostgresServer, reference: State, stage: str
) -> None:
    empty_database(server.url)
    root = nights.workspace()
    folder = root / "data" / "passes" / "pass-0001" / stage

    def kill_in_that_stage() -> None:
        limit = time.monotonic() + 120
        while not folder.exists() and time.monotonic() < limit:
            time.sleep(0.001)
        server.kill()

    killer = threading.Thread(target=kill_in_that_stage)
    killer.start()
    ended = nights.run(root, 1, store=server.url)
    killer.join()
    assert ended.status == 3, ended.output
    assert "Traceback" not in ended.output
    assert "s3cret" not in ended.output
    assert Path(root / "data" / "live.json").exists()
    again = nights.run(root, 1, store=server.url)
    assert again.status == 2, again.output
    assert "cannot be opened" in again.output
    server.start()
    heads = nights.looked_at(root, server.url)
    ended = nights.run(root, 1, store=server.url)
    assert ended.status == 0, ended.output
    check(root, reference, heads, server.url)
