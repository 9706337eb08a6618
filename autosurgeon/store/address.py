"""The address of the memory: a file, or a PostgreSQL database by its URL. Secrets of the URL are never shown."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from autosurgeon.errors import WorkspaceError

EXAMPLE = "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE"


def read_address(where: Path | str) -> URL:
    """The URL of a SQLite file, or of a PostgreSQL database; WorkspaceError for any other."""
    if isinstance(where, Path):
        return URL.create("sqlite", database=str(where.absolute()))
    wanted = f"one like {EXAMPLE}, or none: the workspace's own file"
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):
        # Without `got` and without a cause, since the password may be anywhere in it.
        raise WorkspaceError("store.url is no URL", wanted=wanted) from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername != "postgresql+psycopg" or not url.database:
        got = f"{url.drivername!r} without a database's name" if not url.database else repr(url.drivername)
        raise WorkspaceError("store.url names no PostgreSQL database", got=got, wanted=wanted)
    return url


def public_name(url: URL) -> str:
    """The address of a database without user and password: a file's path, or host and database."""
    if url.get_backend_name() == "sqlite":
        return url.database or ""
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{url.host or 'localhost'}{port}/{url.database}"


def place_name(where: Path | str) -> str:
    """The `public_name` of a configured address."""
    return public_name(read_address(where))


def without_secrets(url: URL, error: object) -> str:
    """A driver's message in one line, with *** for every password of the URL."""
    message = " ".join(str(error).split())
    queried = [value for key, value in url.query.items() if "pass" in key.lower()]
    secrets = [
        str(url.password or ""),
        *(word for value in queried for word in ([value] if isinstance(value, str) else value)),
    ]
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        message = message.replace(secret, "***")
    return message
