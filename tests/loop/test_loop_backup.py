"""A backup is one consistent archive, also while a loop works; a workspace is made of it whole or not at all."""

from __future__ import annotations

import io
import json
import shutil
import stat
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import program
import pytest
from databases import run_sql
from finished import ACT, copy_of, finish, goes_on, is_whole, lose_database, proven

from autosurgeon.audit.verify import verify
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError, WorkspaceError
from autosurgeon.loop.memory.backup import Contents, backup
from autosurgeon.loop.memory.unpack_backup import Unpacked, unpack
from autosurgeon.packs.packstore import PackStore
from autosurgeon.store.copy_memory import replace_memory
from autosurgeon.store.sqlstore import SqlStore


def quiet(done: int, total: int) -> None:
    assert done <= total


def backed_up(workspace: Workspace, file: Path, *, with_packs: bool = False, where: str | None = None) -> Contents:
    return backup(workspace, where or workspace.database, file, with_packs=with_packs, progress=quiet)


def unpacked(file: Path, target: Path) -> Unpacked:
    return unpack(file, target, ACT, quiet)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = finish(tmp_path_factory.mktemp("finished") / "w")
    (workspace.root / "autosurgeon.toml").write_text("seed = 3\n")
    return workspace


@pytest.fixture(scope="module")
def archive(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("backups") / "night.tar"
    backed_up(finished, file)
    return file


def everything(place: Path | str) -> dict[str, list[tuple[object, ...]]]:
    tables = ("stage", "bench_result", "decision", "event")
    return {name: run_sql(place, f"SELECT * FROM {name} ORDER BY 1") for name in tables}


def test_a_workspace_made_of_a_backup_is_what_was_backed_up(finished: Workspace, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.root.rglob("*")}
    backed_up(finished, tmp_path / "b.tar", with_packs=True)
    assert {path: path.stat().st_mtime_ns for path in finished.root.rglob("*")} == before
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar"]
    contents = unpacked(tmp_path / "b.tar", tmp_path / "new").contents
    assert contents.without_weights == ()
    place = Workspace(tmp_path / "new")
    assert proven(place.database) == proven(finished.database)
    for name, rows in everything(finished.database).items():
        assert everything(place.database)[name][: len(rows)] == rows
    for name in ("autosurgeon.toml", "data/live.json", "data/keys/private.pem"):
        assert (place.root / name).read_bytes() == (finished.root / name).read_bytes()
    assert stat.S_IMODE((place.keys / "private.pem").stat().st_mode) == 0o600
    shutil.copytree(finished.root / "organ", place.root / "organ")
    goes_on(place)


def test_without_packs_their_manifests_are_kept_and_what_is_missing_is_named(archive: Path, tmp_path: Path) -> None:
    done = program.autosurgeon("restore", "--from", archive, "-w", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    assert "missing: the weights of the live pack" in done.stdout
    assert PackStore(Workspace(tmp_path / "new").packs).digests()
    assert program.autosurgeon("audit", "verify", "-w", tmp_path / "new").returncode == 0
    assert program.autosurgeon("status", "-w", tmp_path / "new").returncode == 0


def test_the_restoration_is_an_entry_of_the_chain(archive: Path, tmp_path: Path) -> None:
    unpacked(archive, tmp_path / "new")
    store = SqlStore(Workspace(tmp_path / "new").database)
    entry = store.last_act("restore")
    store.close()
    assert entry is not None
    assert entry.act.who.login == "ann"


def test_a_backup_while_a_loop_writes_is_of_one_moment(finished: Workspace, tmp_path: Path) -> None:
    workspace = copy_of(finished, tmp_path / "w")
    store, over = SqlStore(workspace.database), threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            store.begin_stage("test", f"stage-{number}")
            store.commit_stage("test", f"stage-{number}", {"long": "x" * 20_000}, 0.0, "e")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [backed_up(workspace, tmp_path / f"{number}.tar") for number in range(3)]
    finally:
        over.set()
        writer.join()
        store.close()
    assert len({contents.head for contents in found}) == 3
    for number, contents in enumerate(found):
        unpacked(tmp_path / f"{number}.tar", tmp_path / f"new-{number}")
        place = Workspace(tmp_path / f"new-{number}")
        is_whole(place)
        lines = place.events.read_bytes().splitlines()
        assert json.loads(lines[contents.entries - 1])["hash"] == contents.head


def test_nothing_is_overwritten(finished: Workspace, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_text("mine")
    with pytest.raises(UserError, match="a backup overwrites nothing"):
        backed_up(finished, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_text() == "mine"
    with pytest.raises(UserError, match="folder does not exist"):
        backed_up(finished, tmp_path / "none" / "b.tar")
    with pytest.raises(WorkspaceError, match="into an empty folder"):
        unpacked(archive, tmp_path)


def test_a_lost_memory_is_not_backed_up(finished: Workspace, tmp_path: Path) -> None:
    workspace = copy_of(finished, tmp_path / "w")
    lose_database(workspace)
    with pytest.raises(WorkspaceError, match="is missing"):
        backed_up(workspace, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def test_a_workspace_that_lost_its_keys_is_backed_up_with_a_note(finished: Workspace, tmp_path: Path) -> None:
    workspace = copy_of(finished, tmp_path / "w")
    shutil.rmtree(workspace.keys)
    backed_up(workspace, tmp_path / "b.tar")
    assert any("checkpoint" in note for note in unpacked(tmp_path / "b.tar", tmp_path / "new").notes)


Members = list[tuple[tarfile.TarInfo, bytes]]


def renamed(name: str) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        members[1][0].name = name

    return change


def typed(kind: bytes) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        members[-1][0].type, members[-1][0].linkname = kind, "/etc/passwd"

    return change


def other_bytes(members: Members) -> None:
    members[3] = (members[3][0], b"\0" + members[3][1][1:])


def twice(members: Members) -> None:
    members.append(members[-1])


HOSTILE: dict[str, Callable[[Members], None]] = {
    "traversal": renamed("data/../../../evil"),
    "absolute": renamed("/tmp/evil"),
    "hidden": renamed("data/keys/.ssh"),
    "elsewhere": renamed("data/lock"),
    "symbolic link": typed(tarfile.SYMTYPE),
    "hard link": typed(tarfile.LNKTYPE),
    "device": typed(tarfile.CHRTYPE),
    "folder": typed(tarfile.DIRTYPE),
    "other bytes": other_bytes,
    "twice": twice,
    "one less": lambda members: members.pop() and None,
    "no list": lambda members: members.pop(0) and None,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_makes_nothing(archive: Path, tmp_path: Path, name: str) -> None:
    with tarfile.open(archive) as source:
        members: Members = []
        for member in source.getmembers():
            file = source.extractfile(member)
            assert file is not None
            members.append((member, file.read()))
    HOSTILE[name](members)
    with tarfile.open(tmp_path / "bad.tar", "w") as target:
        for member, raw in members:
            target.addfile(member, io.BytesIO(raw))
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="no whole backup"):
        unpacked(tmp_path / "bad.tar", tmp_path / "in" / "new")
    assert list((tmp_path / "in").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar", "in"]


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.3, 0.9, "text", "folder"])
def test_what_is_no_whole_archive_is_refused(archive: Path, tmp_path: Path, share: float | str) -> None:
    bad = tmp_path / "bad.tar"
    if share == "folder":
        bad.mkdir()
    else:
        raw = archive.read_bytes()
        bad.write_bytes(b"text" * 1000 if isinstance(share, str) else raw[: int(len(raw) * share)])
    done = program.autosurgeon("restore", "--from", bad, "-w", tmp_path / "new")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "new").exists()


def test_a_postgresql_memory_is_backed_up_into_a_file_and_restored_into_an_empty_database(
    finished: Workspace, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_memory(finished.database, url, quiet)
    backed_up(finished, tmp_path / "b.tar", where=url)
    unpacked(tmp_path / "b.tar", tmp_path / "file")
    assert proven(Workspace(tmp_path / "file").database) == proven(finished.database)
    monkeypatch.setenv("AUTOSURGEON_STORE__URL", url)
    run_sql(url, "UPDATE event SET hash = 'other' WHERE seq = (SELECT max(seq) FROM event)")
    with pytest.raises(WorkspaceError, match="is not empty"):
        unpacked(tmp_path / "b.tar", tmp_path / "new")
    run_sql(url, "DROP SCHEMA public CASCADE")
    run_sql(url, "CREATE SCHEMA public")
    assert unpacked(tmp_path / "b.tar", tmp_path / "new").place.startswith("postgresql://")
    place = Workspace(tmp_path / "new")
    assert not place.database.exists()
    store = SqlStore(url)
    assert verify(place, store).whole
    store.begin_run(1, None)
    store.close()
