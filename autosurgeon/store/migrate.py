"""The schema of a database, and its upgrade to the current one by the migrations, in one transaction."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, inspect, text

from autosurgeon.errors import WorkspaceError

MIGRATIONS = Path(__file__).resolve().parent / "migrations"


class Found(NamedTuple):
    """The schema of a database."""

    revision: str | None
    """None for an empty database."""
    stamped: bool
    """Whether the revision is in Alembic's table; it is not in databases that are older than the migrations."""

    @property
    def up_to_date(self) -> bool:
        """Whether no migration is missing."""
        return self.stamped and self.revision == revisions()[-1]


def revisions() -> list[str]:
    """Every revision, oldest first: the number in the name of each file in `migrations/versions`."""
    return sorted(file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def read_revision(connection: Connection, where: str) -> Found:
    """The revision of a database.

    Raises:
        WorkspaceError: it is of a newer autosurgeon, or of another program.

    """
    known = revisions()
    tables = inspect(connection).get_table_names()
    stamped = "alembic_version" in tables
    if stamped:
        found = [str(row) for row in connection.execute(text("SELECT version_num FROM alembic_version")).scalars()]
        revision = found[0] if len(found) == 1 else f"of {len(found)} revisions"
    else:
        number = _user_version(connection)
        if not tables and number == 0:
            return Found(None, False)
        # Before the migrations, the file's user_version was the number of the schema.
        revision = f"{number:04}"
        if number == 0 or not {"run", "pass", "decision"} <= set(tables):
            raise WorkspaceError(
                "a database holds other tables than autosurgeon's",
                got=", ".join(sorted(tables)[:3]) or f"none, and schema {number}",
                wanted="a database of its own for each workspace",
                where=where,
            )
    if revision not in known:
        raise WorkspaceError(
            "a workspace was written by a newer autosurgeon; upgrade this one",
            got=f"schema {revision}",
            wanted=f"at most {known[-1]}",
            where=where,
        )
    return Found(revision, stamped)


def bring_up_to_date(connection: Connection, where: str) -> None:
    """Run the missing migrations, in the connection's transaction."""
    # Imported here: Alembic takes a fifth of a second, and most databases are up to date.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    # Read again: another process may have migrated while this one waited for the lock.
    found = read_revision(connection, where)
    if found.revision is not None and not found.stamped:
        command.stamp(config, found.revision)
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        # An autosurgeon that is older than the migrations reads this number and refuses a newer file.
        connection.execute(text(f"PRAGMA user_version={int(revisions()[-1])}"))


def _user_version(connection: Connection) -> int:
    if connection.dialect.name != "sqlite":
        return 0
    return int(connection.execute(text("PRAGMA user_version")).scalar_one())
