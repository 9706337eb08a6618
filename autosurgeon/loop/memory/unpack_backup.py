"""A workspace from a backup: unpacked into a temporary folder, verified, and then renamed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, NamedTuple

from pydantic import ValidationError

from autosurgeon.audit.verify import verify
from autosurgeon.config import CONFIG_FILE, load_settings
from autosurgeon.core.person import PersonAct
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError, WorkspaceError
from autosurgeon.loop.decide.settle import write_logs
from autosurgeon.loop.memory.backup import CONTENTS, Contents
from autosurgeon.packs.files import flush, make_folder
from autosurgeon.store.address import place_name
from autosurgeon.store.copy_memory import replace_memory
from autosurgeon.store.database import has_memory
from autosurgeon.store.sqlstore import SqlStore

LONGEST_CONTENTS = 256 << 20
"""The most bytes of the list of files, which may name a hundred thousand checkpoints."""
CHUNK = 4 << 20
NAME = re.compile(
    r"autosurgeon\.toml|data/(autosurgeon\.db|live\.json|pins\.json|keys/\w[\w.-]*|packs/[0-9a-f]{64}/\w[\w.-]*)"
    r"|logs/((events|decisions)\.jsonl|checkpoints/\d{8,}\.json)",
    re.ASCII,
)
"""The names that a backup may hold: a workspace's own files, and no path out of it."""


SIGNED = ("checkpoint", "keys")
"""Sources of an audit whose faults a workspace may have before its backup, such as a lost key."""


class Unpacked(NamedTuple):
    """The result of unpacking a backup."""

    contents: Contents
    place: str
    """The address of the memory."""
    notes: tuple[str, ...]
    """Checkpoints and keys that do not verify."""


def unpack(file: Path, target: Path, act: PersonAct, progress: Callable[[int, int], None]) -> Unpacked:
    """Make a workspace from a backup; the folder gets its name after all of it is verified.

    Args:
        file: the backup.
        target: a folder that does not exist yet, or is empty.
        act: the act of the person, which becomes an entry of the restored chain.
        progress: called with the bytes unpacked, and with their total.

    Raises:
        UserError: the file is no backup, is damaged, or does not verify.
        WorkspaceError: the target is not empty, or the settings name a database that is not.

    """
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise WorkspaceError("a backup is restored into an empty folder", got=f"{target}, which is not empty")
    try:
        make_folder(target.absolute().parent)
        root = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))
    except OSError as error:
        raise WorkspaceError("a workspace cannot be made there", got=error.strerror, where=target) from error
    try:
        contents = _extract(file, root, progress)
        staged = Workspace(root)
        notes = _check(staged, contents, file)
        place = _place_memory(staged, contents, act)
        root.chmod(0o755)
        root.rename(target)
        flush(target.absolute().parent)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return Unpacked(contents, place, notes)


def _extract(file: Path, root: Path, progress: Callable[[int, int], None]) -> Contents:
    try:
        stream = file.open("rb")
    except OSError as error:
        raise UserError("a backup cannot be read", got=error.strerror, where=file) from error
    try:
        with stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            contents = _read_contents(archive, file)
            total, done, seen = sum(one.bytes for one in contents.files.values()), 0, set[str]()
            while (member := archive.next()) is not None:
                if not member.isreg() or member.issparse() or member.name in seen or not NAME.fullmatch(member.name):
                    raise _damaged(file, f"a member {member.name[:80]!r} that no backup holds")
                expected = contents.files.get(member.name)
                if expected is None or expected.bytes != member.size:
                    raise _damaged(file, f"{member.name}, which its list of files does not name so")
                seen.add(member.name)
                source = archive.extractfile(member)
                assert source is not None  # it is a regular file
                path = root / member.name
                if _write(source, path, lambda count, base=done: progress(base + count, total)) != expected.sha256:  # type: ignore[misc]
                    raise _damaged(file, f"{member.name}, whose bytes are others than when it was written")
                done += member.size
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _damaged(file, str(error)) from error
    if missing := sorted(contents.files.keys() - seen):
        raise _damaged(file, f"no {missing[0]}: it is cut short")
    return contents


def _read_contents(archive: tarfile.TarFile, file: Path) -> Contents:
    member = archive.next()
    source = archive.extractfile(member) if member is not None and member.isreg() else None
    if member is None or source is None or member.name != CONTENTS or member.size > LONGEST_CONTENTS:
        raise _damaged(file, f"no {CONTENTS} at its beginning")
    try:
        return Contents.model_validate_json(source.read())
    except ValidationError as error:
        raise _damaged(file, f"a {CONTENTS} that does not parse: {error.errors()[0]['msg']}") from error


def _damaged(file: Path, got: str) -> UserError:
    return UserError("a file is no whole backup", got=got, wanted="one that `autosurgeon backup` wrote", where=file)


def _write(source: IO[bytes], path: Path, count_bytes: Callable[[int], None]) -> str:
    """Write a member durably as a new file; return the SHA-256 of its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_key = path.parent.name == "keys"
    digest, count = hashlib.sha256(), 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if is_key else 0o644), "wb") as file:
        while chunk := source.read(CHUNK):
            file.write(chunk)
            digest.update(chunk)
            count += len(chunk)
            count_bytes(count)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _check(staged: Workspace, contents: Contents, file: Path) -> tuple[str, ...]:
    """The checkpoints and keys that do not verify; UserError where the memory or the logs do not."""
    with closing(SqlStore(staged.database)) as store:
        found = verify(staged, store)
        head = store.head()
    faults = {fault.source: f"{fault.source}, {fault.where}: {fault.what}" for fault in found.findings}
    if wrong := [words for source, words in faults.items() if source not in SIGNED]:
        raise _damaged(file, wrong[0])
    if (head.size, head.hash) != (contents.entries, contents.head):
        raise _damaged(file, f"a memory of {head.size} entries, where {CONTENTS} names {contents.entries}")
    return tuple(faults.values())


def _place_memory(staged: Workspace, contents: Contents, act: PersonAct) -> str:
    """Record the act, and move the memory to the address of the settings."""
    own = staged.root / CONFIG_FILE
    url = load_settings(own if own.is_file() else None).store.url
    if url is not None:
        _refuse_used(url, contents)
    with closing(SqlStore(staged.database)) as store:
        store.record_act(act)
        write_logs(staged, store)
    if url is None:
        return "data/autosurgeon.db"
    replace_memory(staged.database, url, lambda done, total: None)
    staged.database.unlink()
    return place_name(url)


def _refuse_used(url: str, contents: Contents) -> None:
    """WorkspaceError where a database holds another memory; this one may be there from an earlier try."""
    if not has_memory(url):
        return
    with closing(SqlStore(url)) as store:
        size = store.head().size
        is_ours = store.hash_at(contents.entries) == contents.head and size <= contents.entries + 2
    if size and not is_ours:
        raise WorkspaceError(
            "the database that the backup's settings name is not empty",
            got=f"{size} entries",
            wanted="AUTOSURGEON_STORE__URL of an empty database, for this command and for the workspace's runs",
            where=place_name(url),
        )
