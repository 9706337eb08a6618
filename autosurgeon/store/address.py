"""Where the memory is: a file, or a PostgreSQL database by its URL. What is secret in the URL is never said."""

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
        # Said without what was got and without a cause: nobody knows where in it the password is.
        raise WorkspaceError("store.url is no URL", wanted=wanted) from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername != "postgresql+psycopg" or not url.database:
        got = f"{url.drivername!r} without a database's name" if not url.database else repr(url.drivername)
        raise WorkspaceError("store.url names no PostgreSQL database", got=got, wanted=wanted)
    return url


def public_name(url: URL) -> str:
    """What may be said of a database's place: a file's path, or host and database without anybody's name."""
    if url.get_backend_name() == "sqlite":
        return url.database or ""
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{url.host or 'localhost'}{port}/{url.database}"


def place_name(where: Path | str) -> str:
    """What may be shown of a configured place, as `public_name` has it."""
    return public_name(read_address(where))


def without_secrets(url: URL, error: object) -> str:
    """A driver's words in one line, with *** for every password that the URL holds."""
    said = " ".join(str(error).split())
    queried = [value for key, value in url.query.items() if "pass" in key.lower()]
    secrets = [
        str(url.password or ""),
        *(word for value in queried for word in ([value] if isinstance(value, str) else value)),
    ]
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        said = said.replace(secret, "***")
    return said
