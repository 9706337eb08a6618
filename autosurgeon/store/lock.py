"""One loop per workspace and per database: locks that name their holder and end when it dies.

The kernel's `flock` decides races. The file's content names the holder by boot, process and start time, since a bare
process id is reused. Content alone never grants the lock; it is read for display, and on file systems that grant every
`flock`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from autosurgeon.core.value import Value
from autosurgeon.errors import WorkspaceError
from autosurgeon.store.address import public_name, without_secrets
from autosurgeon.store.database import utc_now
from autosurgeon.store.postgres import LOOP_LOCK

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MAX_BYTES = 4096


class Holder(Value):
    """The process that holds a workspace, identified uniquely, and the time of its start."""

    pid: int
    boot: str
    """The id of the boot, empty where the system has none."""
    namespace: int
    """The inode of the namespace of the process id; 0 where the system has none."""
    started: int
    """The start of the process in clock ticks after the boot; 0 where it is unknown."""
    since: str

    def same_process(self, other: Holder) -> bool:
        """Whether both are the same process."""
        return self.model_copy(update={"since": other.since}) == other

    @property
    def is_alive(self) -> bool:
        """Whether this process runs, as far as this machine can see."""
        here = myself()
        if (self.boot, self.namespace) != (here.boot, here.namespace):
            return False
        return self.started != 0 and _start_of(self.pid) == self.started


def myself() -> Holder:
    """The running process, as a holder from this moment."""
    try:
        boot, namespace = BOOT_ID.read_text(encoding="ascii").strip(), Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        boot, namespace = "", 0
    pid = os.getpid()
    return Holder(pid=pid, boot=boot, namespace=namespace, started=_start_of(pid) or 0, since=utc_now())


def _start_of(pid: int) -> int | None:
    """The start of a process in clock ticks after the boot; None for a process that is gone or a zombie."""
    try:
        # The name may contain brackets and spaces; fields 3 and on follow its last bracket.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def holder_of(path: Path) -> Holder | None:
    """The holder of a workspace; None when there is none, or when the file does not name it."""
    try:
        with path.open("rb") as file:
            found = _parse(file.read(MAX_BYTES))
    except OSError:
        return None
    return found if found is not None and found.is_alive else None


def _parse(content: bytes) -> Holder | None:
    try:
        return Holder.model_validate_json(content)
    except ValidationError:
        return None


@contextlib.contextmanager
def workspace_lock(path: Path) -> Iterator[Holder]:
    """Hold the workspace; WorkspaceError at once when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        mine, found = myself(), _parse(os.pread(descriptor, MAX_BYTES, 0))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _refusal(path, found) from error
        # Read again: the holder may have changed.
        found = _parse(os.pread(descriptor, MAX_BYTES, 0))
        if found is not None and found.is_alive and not found.same_process(mine):
            raise _refusal(path, found)
        _write(descriptor, mine)
        try:
            yield mine
        finally:
            # Empty, so that a process that continues without the lock does not count as a loop.
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _write(descriptor: int, mine: Holder) -> None:
    os.ftruncate(descriptor, 0)
    try:
        os.pwrite(descriptor, f"{mine.model_dump_json()}\n".encode(), 0)
    except OSError as error:
        # The lock holds without its content, and the caller handles a full disk.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _refusal(path: Path, found: Holder | None) -> WorkspaceError:
    return WorkspaceError(
        "another loop works on this workspace; wait for it, `autosurgeon stop` it, or name another with --workspace",
        got=f"process {found.pid} since {found.since}" if found else "a process that left no name",
        where=path.parent.parent,
    )


@contextlib.contextmanager
def database_lock(engine: Engine) -> Iterator[None]:
    """Hold a PostgreSQL database, which several machines reach; WorkspaceError at once when another loop holds it.

    A SQLite file needs no lock beyond its workspace's.
    """
    if engine.dialect.name != "postgresql":
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(
                engine.execution_options(isolation_level="AUTOCOMMIT", writes=False).connect()
            )
            # A separate connection that never returns to the pool: the lock ends with it.
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
