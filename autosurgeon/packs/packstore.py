"""The pack store: folders named by their manifest's digest, committed whole, never changed.

A commit goes: the files, flushed; the manifest, flushed; their folder, flushed; the rename to the digest; the parent,
flushed; everything read back. Only then does the loop write to its memory that there is such a pack. Whatever cuts it
short, the digest's folder is either not there or whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from pydantic import ValidationError

from autosurgeon.core.pack import MANIFEST_FILE, WEIGHTS_FILE, Lineage, Manifest, PackedFile
from autosurgeon.core.ports import Beat, no_beat
from autosurgeon.core.tensorfile import ALIGNMENT
from autosurgeon.errors import PackError
from autosurgeon.failpoints import reach
from autosurgeon.packs.checkpoint import stage_checkpoint
from autosurgeon.packs.files import flush, hash_file, make_folder, move, part_of, read_header, write_whole

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
        """Remove what a crash left half made or half removed; only for who holds the workspace."""
        for left in (STAGING, TRASH):
            shutil.rmtree(self._root / left, ignore_errors=True)

    def path(self, digest: str) -> Path:
        """The pack's folder, whether it is there or not."""
        return self._root / digest

    def import_checkpoint(self, source: Path) -> Manifest:
        """Make a base checkpoint a pack, the first of its line."""
        staged = self._root / STAGING / f"import-{os.getpid()}"
        shutil.rmtree(staged, ignore_errors=True)
        stage_checkpoint(source, staged, self._beat)
        reach("base-staged")
        return self.commit(staged, Lineage())

    def commit(self, folder: Path, lineage: Lineage) -> Manifest:
        """Take over a folder as a pack: flush the files, write the manifest last, rename to its digest, verify.

        The folder is gone afterwards. A pack that is there already is adopted, if it verifies.

        Raises:
            PackError: the folder is no pack, or what was written does not read back.
            DurabilityError: the disk did not take a flush or the rename.

        """
        files = {}
        # What an earlier try or a capsule left there under these names is no part of the pack.
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
                # Whoever renamed it may have died before this.
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
        """Make way for a good pack: one without weights is thrown away, a damaged one set aside for a look."""
        if not self.has_weights(damaged.name):
            self._throw_away(damaged)
            return
        number = 1
        while (aside := damaged.with_name(f"damaged-{number}-{damaged.name}")).exists():
            number += 1
        move(damaged, aside)
        reach("pack-set-aside")

    def _throw_away(self, path: Path) -> None:
        """Remove a file or folder; by a rename first, so that a crash leaves it whole or out of sight."""
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
        """What the pack says of itself; PackError when it is missing or not what its name says."""
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
        """Read every byte back and hold it against the manifest; PackError names the first file that differs."""
        manifest = self.manifest(digest)
        if not self.has_weights(digest):
            raise PackError("a pack's weights are gone", got=digest[:12], where=self.path(digest))
        try:
            _check(self.path(digest), manifest, self._beat)
        except OSError as error:
            # A bad sector is damage like any other.
            raise PackError("a pack cannot be read", got=error.strerror, where=self.path(digest)) from error
        return manifest

    def has_weights(self, digest: str) -> bool:
        """Whether the pack's weights are there; without them it is only a manifest that tells what it was."""
        return (self.path(digest) / WEIGHTS_FILE).exists()

    def weights_bytes(self, digest: str) -> int:
        """What the pack's weights take on the disk."""
        return (self.path(digest) / WEIGHTS_FILE).stat().st_size

    def remove_weights(self, digest: str) -> None:
        """Take a pack's weights off the disk; its manifest stays, and verify says that they are gone."""
        self._throw_away(self.path(digest) / WEIGHTS_FILE)

    def digests(self) -> list[str]:
        """The packs that are there, by name, those among them whose weights are gone."""
        return sorted(folder.name for folder in self._root.iterdir() if len(folder.name) == 64)


def _check(folder: Path, manifest: Manifest, beat: Beat) -> None:
    """Hold a folder's every byte against a manifest; PackError names the first file that differs."""
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
