"""A workspace that cannot be written is read by every command that only reads, and any other is refused in a line."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from databases import run_sql
from program import autosurgeon
from readonly import WAYS, Done, run_read_only, unavailable
from workspaces import finish_workspace

from autosurgeon.core.workspace import Workspace
from autosurgeon.store.sqlstore import SqlStore

READING = [
    "status",
    "status --json",
    "pass list",
    "pass show 1",
    "pack list",
    "pack show {pack}",
    "pack verify",
    "anchors list",
    "anchors show b/gate-0",
    "audit log",
    "audit log --people",
    "audit verify",
    "report 1",
    "report campaign --out {out}/campaign.md",
    "study --export sqlite:///{out}/study.db",
    "policy explain pass-0001-smoke",
    "policy replay {root}",
    "policy simulate {root} --rule anchor-wins-kept --range 0:4",
    "service print",
]
WRITING = [
    "run --passes 1",
    "override 1 --verdict accept --reason why --expires +1h",
    "stop",
    "pause",
    "resume",
    "pack revert --reason why",
    "pack pin {pack} --reason why",
    "pack unpin {pack}",
    "pack gc",
    "audit rotate-key",
    "pack export {pack} --format gguf --out {out}/pack.gguf",
    "anchors quarantine b/gate-0 --reason why --expires +1h",
]


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """Not in pytest's own folder, into which no other user may look."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "workspace").mkdir()
        yield finish_workspace(Path(folder) / "workspace")


@pytest.fixture
def workspace(template: Path) -> Iterator[Path]:
    root = template.parent / "copy with # and ? and %41"
    shutil.copytree(template, root)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def out() -> Iterator[Path]:
    """A folder that everybody may write."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    if why := unavailable(request.param):
        pytest.skip(why)
    return str(request.param)


@pytest.fixture
def any_way() -> str:
    """The first way of being read-only that works on this machine."""
    found = [way for way in WAYS if unavailable(way) is None]
    return found[0] if found else pytest.skip("a workspace cannot be made read-only here")


def spelled(commands: Sequence[str], root: Path, out: Path) -> list[list[str]]:
    """Each command's words, on this workspace."""
    (pack, *_) = sorted(path.name for path in Workspace(root).packs.iterdir())
    found = []
    for command in commands:
        words = [word.format(root=root, out=out, pack=pack) for word in command.split()]
        found.append(words if "{root}" in command else [*words, "--workspace", str(root)])
    return found


def leave_log_of_writes(workspace: Path, *, index: bool) -> None:
    """What a loop that was killed leaves: SQLite's log holds what the file itself does not."""
    database = Workspace(workspace).database
    saved = workspace / "saved.db"
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("UPDATE pass SET reason = reason || ' of the log' WHERE number = 1")
    connection.commit()
    for ending in ("", "-wal", *(["-shm"] if index else [])):
        shutil.copyfile(f"{database}{ending}", f"{saved}{ending}")
    connection.close()
    for ending in ("", "-wal", *(["-shm"] if index else [])):
        Path(f"{saved}{ending}").replace(f"{database}{ending}")


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_command_that_only_reads_works_and_every_other_is_refused_in_a_line(
    workspace: Path, out: Path, way: str
) -> None:
    reading, writing = spelled(READING, workspace, out), spelled(WRITING, workspace, out)
    before = contents(workspace)
    found = run_read_only(way, workspace, [*reading, *writing])
    assert contents(workspace) == before
    for words, done in zip(writing, found[len(reading) :], strict=True):
        assert (done.code, len(done.err.splitlines())) == (2, 1), (words, done)
        assert "this workspace is read-only here" in done.err, words
        assert ("is mounted read-only" if way == "mount" else "user nobody may not write") in done.err, words
    made = sorted(path.name for path in out.iterdir())
    assert made == ["campaign.md", "study.db"]
    for name in made:
        (out / name).unlink()
    for words, done in zip(reading, found, strict=False):
        plain = autosurgeon(*words)
        assert (done.code, done.err) == (plain.returncode, plain.stderr) == (0, ""), words
        if words[0] != "service":  # which names its user
            assert done.out == plain.stdout, words


def test_the_doctor_has_a_line_for_it(workspace: Path, any_way: str) -> None:
    (done,) = run_read_only(any_way, workspace, [["doctor", "--workspace", workspace, "--json"]])
    (row,) = [row for row in json.loads(done.out) if row["check"] == "workspace"]
    assert (row["ok"], "read-only" in row["found"]) == (False, True)


@pytest.mark.parametrize("index", [False, True])
def test_what_a_killed_loop_left_in_the_databases_log_is_read_too(workspace: Path, any_way: str, index: bool) -> None:
    leave_log_of_writes(workspace, index=index)
    before = contents(workspace)
    (done,) = run_read_only(any_way, workspace, [["pass", "list", "--json", "--workspace", workspace]])
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)[0]["reason"].endswith(" of the log")
    assert contents(workspace) == before


def test_what_a_loop_at_work_has_just_written_is_read_too(workspace: Path, any_way: str) -> None:
    with contextlib.closing(SqlStore(Workspace(workspace).database)) as store:
        run = store.begin_run(7, None)
        (done,) = run_read_only(any_way, workspace, [["status", "--json", "--workspace", workspace]])
        store.end_run(run, "passes")
    assert json.loads(done.out)["budget"]["passes_limit"] == 7


def test_an_older_schema_is_brought_up_to_date_in_a_copy(workspace: Path, any_way: str) -> None:
    database = Workspace(workspace).database
    for column in ("end_detail", "policy", "policy_file", "params", "seed"):
        run_sql(database, f"ALTER TABLE run DROP COLUMN {column}")
    run_sql(database, "UPDATE alembic_version SET version_num = '0007'")
    before = contents(workspace)
    (done,) = run_read_only(any_way, workspace, [["status", "--workspace", workspace]])
    assert (done.code, done.err) == (0, "")
    assert "live: version" in done.out
    assert contents(workspace) == before


def test_a_folder_without_a_workspace_that_cannot_be_written_is_refused_in_a_line(out: Path, any_way: str) -> None:
    out.chmod(0o755)
    found: list[Done] = run_read_only(
        any_way, out, [["run", "--workspace", out], ["run", "--workspace", out / "new"], ["status", "--workspace", out]]
    )
    assert [(done.code, len(done.err.splitlines())) for done in found] == [(2, 1)] * 3
    assert ["read-only" in done.err for done in found] == [True, True, False]


def test_a_file_in_the_place_of_a_workspace_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for command in ("run", "status", "stop"):
        done = autosurgeon(command, "--workspace", file)
        assert "a workspace is a folder" in done.stderr
        assert done.returncode == 2
