"""Backups: one consistent archive of what cannot be made again, also while a loop runs.

The memory is copied in one snapshot, and the logs are written from that copy, so that both end at the same entry.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from autosurgeon.audit.checkpoints import checkpoint_files
from autosurgeon.config import CONFIG_FILE
from autosurgeon.core.pack import MANIFEST_FILE
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError
from autosurgeon.loop.decide.settle import write_logs
from autosurgeon.loop.memory.traces import read_traces, refuse_misfit, refuse_missing
from autosurgeon.packs.files import flush, hash_file
from autosurgeon.packs.livefile import write_live
from autosurgeon.store.copy_memory import copy_memory
from autosurgeon.store.database import utc_now
from autosurgeon.store.sqlstore import SqlStore

CONTENTS = "backup.json"
"""The first member of an archive."""
Progress = Callable[[int, int], None]
"""Called with the bytes or rows that are done, and with their total."""


class BackedUp(Value):
    """A file of a backup."""

    sha256: str
    bytes: int


class Contents(Value):
    """The contents of a backup."""

    format: Literal["autosurgeon.backup/1"] = "autosurgeon.backup/1"
    at: str
    entries: int
    """The number of entries of the chain, in the memory and in the event log."""
    head: str
    live_version: int | None
    live_pack: str | None
    without_weights: tuple[str, ...]
    """Packs of the memory whose weights are not in the archive."""
    files: dict[str, BackedUp]
    """The files by path in the workspace."""


class _Source(NamedTuple):
    name: str
    path: Path


def backup(workspace: Workspace, where: Path | str, target: Path, *, with_packs: bool, progress: Progress) -> Contents:
    """Write an archive that only its owner can read, atomically.

    Args:
        workspace: the workspace to back up.
        where: the address of the memory.
        target: a file that does not exist yet, outside of what is copied.
        with_packs: whether to include the weights of packs.
        progress: called with the bytes written and the total.

    Raises:
        UserError: the target exists, or its folder does not.
        WorkspaceError: there is no memory, or it does not match the folder.

    """
    if target.exists() or target.is_symlink():
        raise UserError("a backup overwrites nothing", got=target, wanted="a file that does not exist yet")
    if not target.absolute().parent.is_dir():
        raise UserError("a backup's folder does not exist", wanted="an existing folder", where=target.absolute().parent)
    traces = read_traces(workspace)
    refuse_missing(workspace, traces, where)
    with _scratch(target) as root:
        staged = Workspace(root / "w")
        staged.database.parent.mkdir(parents=True)
        copy_memory(where, staged.database, progress)
        with closing(SqlStore(staged.database, look_only=True)) as store:
            refuse_misfit(workspace, traces, where, store, writes=False, unchecked=False)
            sources = _stage(workspace, staged, store, with_packs=with_packs)
            try:
                contents = _contents(store, sources)
                _write(root / "archive", contents, sources, progress)
            except FileNotFoundError as error:
                raise UserError(
                    "a file was removed while it was copied", wanted="the same command again", where=error.filename
                ) from error
        _name(root / "archive", target)
    return contents


@contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """A temporary folder beside the target, on the same disk."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))
    except OSError as error:
        raise UserError(
            "a backup cannot be written there", got=error.strerror, wanted="a folder that can be written", where=target
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stage(workspace: Workspace, staged: Workspace, store: SqlStore, *, with_packs: bool) -> list[_Source]:
    """Write the files that derive from the copied memory; return all files of the archive, in order."""
    head = write_logs(staged, store)
    live = store.live()
    if live is not None:
        folder = staged.packs.relative_to(staged.live_file.parent) / live.pack
        write_live(staged.live_file, version=live.version, pack=live.pack, folder=folder)
    found = [path for path in (staged.database, staged.live_file, staged.events, staged.decisions) if path.is_file()]
    sources = [_Source(str(path.relative_to(staged.root)), path) for path in found]
    kept = [path for path in checkpoint_files(workspace.checkpoints) if int(path.stem) <= head.size]
    keys = sorted(workspace.keys.iterdir()) if workspace.keys.is_dir() else []
    # A person may change these meanwhile; a copy makes sure that the hashed bytes are written.
    for path in (workspace.root / CONFIG_FILE, workspace.pins):
        if path.is_file():
            copy = staged.root / path.relative_to(workspace.root)
            shutil.copyfile(path, copy)
            sources.append(_Source(str(copy.relative_to(staged.root)), copy))
    files = [*keys, *kept, *_pack_files(workspace, store, with_packs)]
    return sources + [
        _Source(str(path.relative_to(workspace.root)), path)
        for path in files
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    ]


def _pack_files(workspace: Workspace, store: SqlStore, with_packs: bool) -> list[Path]:
    """The manifests of the packs of the memory, and with `with_packs` the files that they name."""
    found: list[Path] = []
    for manifest, _, _ in store.packs():
        folder = workspace.packs / manifest.digest
        found.append(folder / MANIFEST_FILE)
        if with_packs:
            found += [folder / name for name in manifest.files]
    return found


def _contents(store: SqlStore, sources: list[_Source]) -> Contents:
    live, head = store.live(), store.head()
    names = {source.name for source in sources}
    lacking = []
    for manifest, _, _ in store.packs():
        if any(f"data/packs/{manifest.digest}/{name}" not in names for name in manifest.files):
            lacking.append(manifest.digest)
    return Contents(
        at=utc_now(),
        entries=head.size,
        head=head.hash,
        live_version=live.version if live else None,
        live_pack=live.pack if live else None,
        without_weights=tuple(lacking),
        files={name: BackedUp(sha256=hash_file(path), bytes=path.stat().st_size) for name, path in sources},
    )


def _write(part: Path, contents: Contents, sources: list[_Source], progress: Progress) -> None:
    total, done = sum(file.bytes for file in contents.files.values()), 0
    with (
        os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        text = contents.model_dump_json(indent=1).encode()
        archive.addfile(_member(CONTENTS, len(text)), io.BytesIO(text))
        for name, path in sources:
            with path.open("rb") as source:
                archive.addfile(_member(name, contents.files[name].bytes), _Counted(source, done, total, progress))
            done += contents.files[name].bytes
    flush(part)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600 if name.startswith("data/keys/") else 0o644
    return member


class _Counted(io.RawIOBase):
    """A file that reports how much of it was read."""

    def __init__(self, file: BinaryIO, done: int, total: int, progress: Progress) -> None:
        self._file, self._done, self._total, self._progress = file, done, total, progress

    def read(self, size: int = -1) -> bytes:
        raw = self._file.read(size)
        self._done += len(raw)
        self._progress(self._done, self._total)
        return raw


def _name(part: Path, target: Path) -> None:
    """Rename the complete archive, unless the target exists meanwhile."""
    try:
        os.link(part, target)
    except FileExistsError as error:
        raise UserError("a backup overwrites nothing", got=target, wanted="a file that does not exist yet") from error
    except OSError:
        part.rename(target)  # a file system without links
    flush(target.absolute().parent)
