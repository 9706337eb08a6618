"""PostgreSQL with the behaviour of SQLite: any text, one writer at a time, an answer within half a minute."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event

from autosurgeon.errors import WorkspaceError

WRITER_LOCK = 0x5A7E11A
"""The advisory lock that a writing transaction holds until its end."""
LOOP_LOCK = 0x5A7E11B
"""The advisory lock that a running loop holds."""


def postgres_engine(url: URL) -> Engine:
    """The engine of a PostgreSQL database, without a connection."""
    # lock_timeout as SQLite's busy_timeout: a longer wait is an error. By the keepalives the server notices in two
    # minutes that a machine is gone, and releases its locks.
    options = {
        "lock_timeout": 30_000,
        "tcp_keepalives_idle": 60,
        "tcp_keepalives_interval": 10,
        "tcp_keepalives_count": 6,
    }
    limits = {"connect_timeout": 10, "options": " ".join(f"-c {name}={value}" for name, value in options.items())}
    for key in limits.keys() & url.query.keys():
        del limits[key]
    try:
        engine = create_engine(url, connect_args=limits, pool_pre_ping=True)
    except ImportError as error:
        wanted = "pip install 'autosurgeon[postgres]'"
        raise WorkspaceError("store.url asks for PostgreSQL, whose driver is not installed", wanted=wanted) from error
    event.listen(engine, "connect", _keep_any_text)
    return engine


def escape(text: str) -> str:
    """Text without NUL, which PostgreSQL refuses and the output of a program may contain; `unescape` restores it."""
    return text.replace("␀", "␀␀").replace("\0", "␀0")


def unescape(text: str) -> str:
    """The original of an escaped text."""
    if "␀" not in text:
        return text
    return "␀".join(part.replace("␀0", "\0") for part in text.split("␀␀"))


def _keep_any_text(connection: Any, _: Any) -> None:
    from psycopg.types.string import StrDumper, StrDumperUnknown, TextLoader

    class Dumper(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(escape(obj))

    class UnknownDumper(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(escape(obj))

    class Loader(TextLoader):
        def load(self, data: Any) -> Any:
            text = super().load(data)
            return unescape(text) if isinstance(text, str) else text

    connection.adapters.register_dumper(str, Dumper)
    connection.adapters.register_dumper(str, UnknownDumper)
    for name in ("text", "varchar"):
        connection.adapters.register_loader(name, Loader)
