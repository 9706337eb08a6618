"""The pack store: immutable folders named by their manifest's digest, committed atomically.

A commit flushes the files, the manifest and their folder, renames the folder to the digest, flushes the parent, and
reads everything back. Only then does the loop record the pack in its database. After an interruption at any point, the
digest's folder is either absent or complete.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from pydantic import ValidationError

from autosurgeon.core.pack import MANIFEST_FILE, WEIGHTS_FILE, Lineage, Manifest, PackedFile
from autosurgeon.core.ports import Beat, no_beat
from autosurgeon.core.tensorfile import ALIGNMENT, read_header
from autosurgeon.errors import PackError
from autosurgeon.failpoints import reach
from autosurgeon.packs.checkpoint import stage_checkpoint
from autosurgeon.packs.files import flush, hash_file, make_folder, move, part_of, write_whole

STAGING = "staging"
TRASH = "trash"


class PackStore:
    """Packs below one folder."""

    def __init__(self, root: Path, beat: Beat = no_beat) -> None:
        """Keep packs in `root`; `beat` is called while large files are copied and read."""
        self._root = root
        self._beat = beat
        make_folder(root)

    def sweep(self) -> None:
        """Remove what an interrupted commit or removal left; the caller holds the workspace's lock."""
        for left in (STAGING, TRASH):
            shutil.rmtree(self._root / left, ignore_errors=True)

    def path(self, digest: str) -> Path:
        """Return the pack's folder, which may not exist."""
        return self._root / digest

    def import_checkpoint(self, source: Path) -> Manifest:
        """Import a base checkpoint as a pack without a parent."""
        staged = self._root / STAGING / f"import-{os.getpid()}"
        shutil.rmtree(staged, ignore_errors=True)
        stage_checkpoint(source, staged, self._beat)
        reach("base-staged")
        return self.commit(staged, Lineage())

    def commit(self, folder: Path, lineage: Lineage) -> Manifest:
        """Commit a folder as a pack: flush the files, write the manifest last, rename to its digest, verify.

        The folder no longer exists afterwards. If the pack exists already and verifies, it is adopted.

        Raises:
            PackError: the folder is not a pack, or what was written does not read back.
            DurabilityError: a flush or the rename failed.

        """
        files = {}
        # Files of these names, from an earlier attempt or a capsule, are not part of the pack.
        for left in (folder / MANIFEST_FILE, part_of(folder / MANIFEST_FILE)):
            left.unlink(missing_ok=True)
        for file in sorted(folder.iterdir()):
            if not file.is_file() or file.is_symlink():
                raise PackError("a pack holds plain files only", got=file.name, where=folder)
            flush(file)
            files[file.name] = PackedFile(sha256=hash_file(file, self._beat), bytes=file.stat().st_size)
        reach("pack-files-flushed")
        manifest = Manifest(files=files, lineage=lineage)
        write_whole(folder / MANIFEST_FILE, manifest.model_dump_json(indent=1) + "\n")
        reach("pack-manifest-written")
        _check(folder, manifest, self._beat)
        target = self.path(manifest.digest)
        if target.exists():
            with contextlib.suppress(PackError):
                self.verify(manifest.digest)
                # The process that renamed it may have died before it flushed the parent.
                flush(self._root)
                shutil.rmtree(folder)
                return manifest
            self._clear(target)
        move(folder, target)
        reach("pack-renamed")
        self.verify(manifest.digest)
        reach("pack-verified")
        return manifest

    def _clear(self, damaged: Path) -> None:
        """Make room for a good pack: remove a pack without weights, and set a damaged one aside for inspection."""
        if not self.has_weights(damaged.name):
            self._remove(damaged)
            return
        number = 1
        while (aside := damaged.with_name(f"damaged-{number}-{damaged.name}")).exists():
            number += 1
        move(damaged, aside)
        reach("pack-set-aside")

    def _remove(self, path: Path) -> None:
        """Remove a file or folder, by a rename first, so that a crash leaves it complete or in the trash."""
        make_folder(self._root / TRASH)
        waste = self._root / TRASH / f"{path.parent.name}-{path.name}"
        shutil.rmtree(waste, ignore_errors=True)
        move(path, waste)
        flush(path.parent)
        reach("weights-in-trash")
        if waste.is_dir():
            shutil.rmtree(waste)
        else:
            waste.unlink()

    def manifest(self, digest: str) -> Manifest:
        """Return the pack's manifest; PackError if it is missing or does not match the pack's name."""
        path = self.path(digest) / MANIFEST_FILE
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise PackError("a pack is missing", got=digest[:12], where=path.parent) from error
        except OSError as error:
            raise PackError("a pack cannot be read", got=error.strerror, where=path) from error
        except ValidationError as error:
            raise PackError("a pack's manifest does not parse", got=error.errors()[0]["msg"], where=path) from error
        if manifest.digest != digest:
            raise PackError("a pack's manifest was changed", got=manifest.digest[:12], wanted=digest[:12], where=path)
        return manifest

    def verify(self, digest: str) -> Manifest:
        """Compare every byte of the pack with the manifest; PackError names the first file that differs."""
        manifest = self.manifest(digest)
        if not self.has_weights(digest):
            raise PackError("a pack's weights are gone", got=digest[:12], where=self.path(digest))
        try:
            _check(self.path(digest), manifest, self._beat)
        except OSError as error:
            # A bad sector counts as damage.
            raise PackError("a pack cannot be read", got=error.strerror, where=self.path(digest)) from error
        return manifest

    def has_weights(self, digest: str) -> bool:
        """Whether the pack's weights exist; without them only the manifest is left."""
        return (self.path(digest) / WEIGHTS_FILE).exists()

    def weights_bytes(self, digest: str) -> int:
        """Return the size of the pack's weights on disk."""
        return (self.path(digest) / WEIGHTS_FILE).stat().st_size

    def remove_weights(self, digest: str) -> None:
        """Delete a pack's weights; its manifest stays, and `verify` reports that they are gone."""
        self._remove(self.path(digest) / WEIGHTS_FILE)

    def digests(self) -> list[str]:
        """Return the names of all packs, including those without weights."""
        return sorted(folder.name for folder in self._root.iterdir() if len(folder.name) == 64)


def _check(folder: Path, manifest: Manifest, beat: Beat) -> None:
    """Compare every byte of a folder with a manifest; PackError names the first file that differs."""
    for name, packed in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.is_symlink():
            raise PackError("a pack's file is missing", got=name, where=folder)
        if path.stat().st_size != packed.bytes:
            raise PackError(
                "a pack's file is damaged", got=f"{path.stat().st_size} bytes", wanted=f"{packed.bytes}", where=path
            )
        if (found := hash_file(path, beat)) != packed.sha256:
            raise PackError("a pack's file is damaged", got=found[:12], wanted=packed.sha256[:12], where=path)
    extra = {file.name for file in folder.iterdir()} - manifest.files.keys() - {MANIFEST_FILE}
    if extra:
        raise PackError("a pack holds a file that its manifest does not name", got=sorted(extra)[0], where=folder)
    header = read_header(folder / WEIGHTS_FILE)
    if header.data_start % ALIGNMENT:
        raise PackError("a pack's tensors do not start at a page", got=header.data_start, where=folder / WEIGHTS_FILE)
