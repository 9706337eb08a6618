"""Old databases become today's without loss, today's is what the tables say, and what is newer is left alone."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from builders import make_contract
from databases import Place, make_at, run_sql
from sqlalchemy import create_engine, inspect
from sqlmodel import SQLModel

from autosurgeon.audit.verify import verify
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import WorkspaceError
from autosurgeon.store.address import read_address
from autosurgeon.store.migrate import MIGRATIONS, revisions
from autosurgeon.store.row_digests import CHANGING, GROWING
from autosurgeon.store.sqlstore import SqlStore

FIXTURES = Path(__file__).with_name("fixtures")
OLD = sorted(FIXTURES.glob("schema-*.sql"))
NEWEST = int(revisions()[-1])


def old_workspace(dump: Path, path: Path) -> None:
    """A database as an autosurgeon from before the migrations left it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(dump.read_text(encoding="utf-8"))
    connection.close()


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables but Alembic's own."""
    names = [str(name) for (name,) in run_sql(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: run_sql(path, f'SELECT * FROM "{name}"') for name in names if name != "alembic_version"}


def columns(path: Path, table: str) -> list[str]:
    """The columns of a table, in their order."""
    return [str(row[1]) for row in run_sql(path, f'PRAGMA table_info("{table}")')]


def schema(path: Path) -> set[str]:
    """Every statement that made something, without its white space."""
    return {"".join(str(sql).split()) for (sql,) in run_sql(path, "SELECT sql FROM sqlite_master WHERE sql <> ''")}


def untouched(path: Path) -> tuple[bytes, int, list[str]]:
    """What a write would change: a file's bytes, its time, and its neighbours."""
    return path.read_bytes(), path.stat().st_mtime_ns, sorted(file.name for file in path.parent.iterdir())


@pytest.fixture
def newer(place: Place) -> Iterator[Place]:
    SqlStore(place, create=True).close()
    run_sql(place, f"UPDATE alembic_version SET version_num = '{NEWEST + 1:04}'")
    yield place


def test_the_files_are_the_revisions_in_their_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert revisions() == [f"{number:04}" for number in range(1, NEWEST + 1)] == walked[::-1]


def test_the_migrations_make_exactly_the_tables(place: Place) -> None:
    SqlStore(place, create=True).close()
    engine = create_engine(read_address(place))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
        # What Alembic does not compare.
        for name, table in SQLModel.metadata.tables.items():
            assert inspect(connection).get_pk_constraint(name)["constrained_columns"] == list(
                table.primary_key.columns.keys()
            )
    engine.dispose()


@pytest.mark.parametrize("dump", OLD, ids=lambda dump: dump.stem)
def test_an_old_workspace_is_upgraded_and_loses_nothing(dump: Path, path: Path) -> None:
    old_workspace(dump, path)
    before = contents(path)
    widths = {name: len(columns(path, name)) for name in before}
    assert before and all(before.values()), "a fixture has a row in every table"
    store = SqlStore(path)
    record, decision = store.get_pass(1), store.decision("pass-0001-proposal")
    assert (record.state, record.feedback is not None, decision.live_version) == ("PLANNED", True, 1)
    assert store.envelopes("one")["b/0"].passed
    assert (store.stages("pass-0001")[0].error, store.confirmations("one")) == ("CUDA out of memory", {"b/0": (4, 3)})
    assert len(store.packs()) == len(store.live_history()) == 1
    assert store.begin_pass(record.recipe, "base", "one", make_contract()) == 2
    store.close()
    run_sql(path, 'DELETE FROM "pass" WHERE number = 2')
    after = contents(path)
    events = after.pop("event")
    assert events[: len(before.get("event", []))] == before.pop("event", [])
    assert events, "the chain begins with the digest of what was decided before it"
    for name, rows in before.items():
        assert [row[: widths[name]] for row in after[name]] == rows
        assert all(value is None for row in after[name] for value in row[widths[name] :])
    assert not any(rows for name, rows in after.items() if name not in before)


def test_the_chain_has_digests_of_every_table() -> None:
    vouched = {*GROWING, *CHANGING}
    assert vouched | {"decision", "event"} == set(SQLModel.metadata.tables)
    assert not GROWING.keys() & CHANGING.keys()


@pytest.mark.parametrize("dump", OLD, ids=lambda dump: dump.stem)
def test_the_chain_of_an_upgraded_workspace_has_digests_of_every_row(dump: Path, path: Path) -> None:
    old_workspace(dump, path)
    store, workspace = SqlStore(path), Workspace(path.parent.parent)
    adopted = store.head().size
    store.begin_run(1, None)
    assert verify(workspace, store).whole
    for table, column in (("bench_result", "passed"), ("live", "pack"), ("pass", "reason"), ("confirmation", "passed")):
        was = run_sql(path, f'SELECT {column} FROM "{table}"')[0][0]
        run_sql(path, f'UPDATE "{table}" SET {column} = 7')
        found = verify(workspace, store).first
        assert found is not None
        assert (found.source, found.seq) == ("rows", adopted), table
        run_sql(path, f'UPDATE "{table}" SET {column} = {was!r}')
    assert verify(workspace, store).whole
    store.close()


@pytest.mark.parametrize("dump", OLD, ids=lambda dump: dump.stem)
def test_an_upgraded_workspace_has_the_schema_of_a_new_one(dump: Path, path: Path, tmp_path: Path) -> None:
    old_workspace(dump, path)
    SqlStore(path).close()
    SqlStore(tmp_path / "new.db", create=True).close()
    assert schema(path) == schema(tmp_path / "new.db")
    for file in (path, tmp_path / "new.db"):
        assert run_sql(file, "SELECT version_num FROM alembic_version") == [(revisions()[-1],)]
        assert run_sql(file, "PRAGMA user_version") == [(NEWEST,)]


@pytest.mark.parametrize("revision", revisions())
def test_every_revision_can_be_upgraded_from(place: Place, revision: str) -> None:
    if isinstance(place, Path):
        place.parent.mkdir()
    make_at(place, revision)
    run_sql(place, "INSERT INTO run (id, started_at, passes_done) VALUES (7, 'now', 3)")
    store = SqlStore(place)
    run = store.last_run()
    assert run is not None
    assert (run.id, run.passes_done, store.looks()) == (7, 3, [])
    store.close()
    assert run_sql(place, "SELECT version_num FROM alembic_version") == [(revisions()[-1],)]


def test_an_upgrade_that_fails_leaves_the_old_workspace_as_it_was(path: Path) -> None:
    old_workspace(OLD[0], path)
    run_sql(path, "CREATE TABLE quarantine (somebody VARCHAR)")
    before = contents(path)
    with pytest.raises(WorkspaceError, match=r"cannot be opened; got table quarantine already exists"):
        SqlStore(path)
    assert contents(path) == before
    assert run_sql(path, "PRAGMA user_version") == [(1,)]
    run_sql(path, "DROP TABLE quarantine")
    SqlStore(path).close()


def test_a_newer_schema_is_refused(newer: Place) -> None:
    for create in (False, True):
        with pytest.raises(WorkspaceError, match=rf"upgrade this one; got schema {NEWEST + 1:04}; wanted at most"):
            SqlStore(newer, create=create)
    assert run_sql(newer, "SELECT version_num FROM alembic_version") == [(f"{NEWEST + 1:04}",)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = '9999'",
        "UPDATE alembic_version SET version_num = 'ae1027a6acf'",
        "DELETE FROM alembic_version",
        "INSERT INTO alembic_version VALUES ('0001')",
        "DROP TABLE alembic_version",
        'DROP TABLE "pass"',
    ],
)
def test_a_refused_database_is_not_changed_by_a_byte(path: Path, change: str) -> None:
    SqlStore(path, create=True).close()
    run_sql(path, change)
    if change.startswith("DROP"):
        run_sql(path, "DROP TABLE IF EXISTS alembic_version")
        run_sql(path, "PRAGMA user_version=9")
    before = untouched(path)
    for create in (False, True):
        with pytest.raises(WorkspaceError):
            SqlStore(path, create=create)
        assert untouched(path) == before


def test_what_only_stands_in_the_write_ahead_log_is_seen_too(path: Path, tmp_path: Path) -> None:
    SqlStore(path, create=True).close()
    writer = sqlite3.connect(path)
    writer.execute("UPDATE alembic_version SET version_num = '9999'")
    writer.commit()
    killed = tmp_path / "killed"
    shutil.copytree(path.parent, killed)
    writer.close()
    before = (killed / path.name).read_bytes()
    with pytest.raises(WorkspaceError, match="got schema 9999"):
        SqlStore(killed / path.name)
    assert (killed / path.name).read_bytes() == before


def test_a_database_of_another_program_is_refused_and_unchanged(place: Place) -> None:
    if isinstance(place, Path):
        place.parent.mkdir()
    run_sql(place, "CREATE TABLE recipe (title VARCHAR)")
    for create in (False, True):
        with pytest.raises(WorkspaceError, match=r"holds other tables.*got recipe"):
            SqlStore(place, create=create)
    engine = create_engine(read_address(place))
    assert inspect(engine).get_table_names() == ["recipe"]
    engine.dispose()
