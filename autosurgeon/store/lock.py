"""One loop per workspace and per database: locks that their keepers let go of when the holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from autosurgeon.errors import WorkspaceError
from autosurgeon.store.address import public_name, without_secrets
from autosurgeon.store.postgres import LOOP_LOCK


@contextlib.contextmanager
def workspace_lock(path: Path) -> Iterator[None]:
    """Hold the workspace; WorkspaceError at once when another process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise WorkspaceError(
                "another loop works on this workspace; wait for it, or name another with --workspace",
                got=f"process {holder}",
                where=path.parent.parent,
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def database_lock(engine: Engine) -> Iterator[None]:
    """Hold a PostgreSQL database, which several machines reach; WorkspaceError at once when another loop does.

    A SQLite file lies in its workspace, whose lock is enough.
    """
    if engine.dialect.name != "postgresql":
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(
                engine.execution_options(isolation_level="AUTOCOMMIT", writes=False).connect()
            )
            # A connection of its own for as long as the loop runs, never back into the pool: the lock ends with it.
            connection.detach()
            held = connection.execute(text(f"SELECT pg_try_advisory_lock({LOOP_LOCK})")).scalar_one()
        except DBAPIError as error:
            got = without_secrets(engine.url, error.orig)
            raise WorkspaceError("a database cannot be locked", got=got, where=public_name(engine.url)) from error
        if not held:
            raise WorkspaceError(
                "another loop works on this database; wait for it, or give each workspace a database of its own",
                where=public_name(engine.url),
            )
        yield
