"""The two kinds of database under test: a SQLite file, and a PostgreSQL server that lives as long as the tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from builders import NOON
from sqlalchemy import create_engine, text

from autosurgeon.store.address import read_address
from autosurgeon.store.migrate import MIGRATIONS
from autosurgeon.store.row_digests import append_all_digests

Place = Path | str
"""What SqlStore takes: a SQLite file, or a PostgreSQL URL."""


OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
"""Everybody else who is connected to a PostgreSQL database."""


def make_at(place: Place, revision: str) -> None:
    """A database of an older schema, empty."""
    engine = create_engine(read_address(place))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def run_sql(place: Place, statement: str) -> list[tuple[Any, ...]]:
    """What a statement returns, past the store; committed."""
    engine = create_engine(read_address(place))
    with engine.begin() as connection:
        done = connection.execute(text(statement))
        rows = [tuple(row) for row in done] if done.returns_rows else []
    engine.dispose()
    return rows


def postgres_binaries() -> Path | None:
    """The folder of initdb and postgres: on the PATH, or where Debian puts its newest."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    path = Path(found) if found else debian[-1] if debian else None
    return path.resolve().parent if path else None


class PostgresServer:
    """A server with a folder of its own; it can be killed, and started again on what it left."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder = binaries, folder
        self.url = f"postgresql+psycopg://postgres:s3cret@/postgres?host={folder}"
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam("nobody")
            os.chown(folder, account.pw_uid, account.pw_gid)
            who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._quiet: dict[str, Any] = {
            "cwd": folder,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            **who,
        }
        arguments = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run([binaries / "initdb", "-D", folder / "data", *arguments], check=True, **self._quiet)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command: list[Path | str] = [
            self._binaries / "postgres",
            "-D",
            self._folder / "data",
            "-k",
            self._folder,
            "-h",
            "",
            "-F",
        ]
        self._server = subprocess.Popen(command, **self._quiet)
        ready: list[Path | str] = [self._binaries / "pg_isready", "-q", "-h", self._folder]
        limit = time.monotonic() + 60
        while subprocess.run(ready, check=False, **self._quiet).returncode != 0:
            assert self._server.poll() is None and time.monotonic() < limit, "the PostgreSQL server did not start"
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill the server and each of its processes at once, as a crash of the machine would."""
        pid = self._server.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for victim in (pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        self._server.wait(60)
        limit = time.monotonic() + 60
        while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < limit:
            time.sleep(0.01)  # the next server needs their shared memory to be let go of

    def stop(self) -> None:
        """Immediate shutdown: nothing in there is worth a checkpoint."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(60)


@contextlib.contextmanager
def postgres_cluster() -> Iterator[PostgresServer]:
    """A server that answers at a socket in a folder of its own; it skips where there is none."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server here: Debian's package `postgresql` has initdb and postgres")
    pytest.importorskip("psycopg", reason="no psycopg here: pip install 'autosurgeon[postgres]'")
    # Not pytest's own folder: the path of a socket is short, and an unprivileged user has to get there.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        server = PostgresServer(binaries, folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a database on a server of its own."""
    with postgres_cluster() as server:
        yield server.url


def empty_database(url: str) -> None:
    """Drop all that an earlier test left, and its connections."""
    run_sql(url, f"SELECT pg_terminate_backend(pid) {OTHERS}")
    run_sql(url, "DROP SCHEMA public CASCADE")
    run_sql(url, "CREATE SCHEMA public")


def vouch_for_all(path: Path) -> None:
    """Let the chain vouch for rows that were written past the store, as an upgrade does."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        append_all_digests(connection, NOON)
    engine.dispose()
