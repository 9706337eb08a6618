"""The pack store: folders named by their manifest's digest, committed whole, never changed."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from pydantic import ValidationError

from autosurgeon.core.pack import MANIFEST_FILE, WEIGHTS_FILE, Lineage, Manifest, PackedFile
from autosurgeon.core.tensorfile import ALIGNMENT
from autosurgeon.errors import PackError
from autosurgeon.packs.checkpoint import stage_checkpoint
from autosurgeon.packs.files import flush, hash_file, read_header, write_whole

STAGING = "staging"


class PackStore:
    """Packs below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """The pack's folder, whether it is there or not."""
        return self._root / digest

    def import_checkpoint(self, source: Path) -> Manifest:
        """Make a base checkpoint a pack, the first of its line."""
        staged = self._root / STAGING / f"import-{os.getpid()}"
        shutil.rmtree(staged, ignore_errors=True)
        stage_checkpoint(source, staged)
        return self.commit(staged, Lineage())

    def commit(self, folder: Path, lineage: Lineage) -> Manifest:
        """Take over a folder as a pack: flush the files, write the manifest last, rename to its digest, verify.

        The folder is gone afterwards. A pack that is there already is adopted, if it verifies.
        """
        files = {}
        for file in sorted(folder.iterdir()):
            if file.name != MANIFEST_FILE:
                flush(file)
                files[file.name] = PackedFile(sha256=hash_file(file), bytes=file.stat().st_size)
        manifest = Manifest(files=files, lineage=lineage)
        write_whole(folder / MANIFEST_FILE, manifest.model_dump_json(indent=1) + "\n")
        _check(folder, manifest)
        target = self.path(manifest.digest)
        if target.exists():
            with contextlib.suppress(PackError):
                self.verify(manifest.digest)
                shutil.rmtree(folder)
                return manifest
            self._set_aside(target)
        folder.rename(target)
        flush(self._root)
        self.verify(manifest.digest)
        return manifest

    def _set_aside(self, damaged: Path) -> None:
        """Keep a damaged pack for a look, out of the way of a good one."""
        number = 1
        while (aside := damaged.with_name(f"damaged-{number}-{damaged.name}")).exists():
            number += 1
        damaged.rename(aside)

    def manifest(self, digest: str) -> Manifest:
        """What the pack says of itself; PackError when it is missing or not what its name says."""
        path = self.path(digest) / MANIFEST_FILE
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise PackError("a pack is missing", got=digest[:12], where=path.parent) from error
        except ValidationError as error:
            raise PackError("a pack's manifest does not parse", got=error.errors()[0]["msg"], where=path) from error
        if manifest.digest != digest:
            raise PackError("a pack's manifest was changed", got=manifest.digest[:12], wanted=digest[:12], where=path)
        return manifest

    def verify(self, digest: str) -> Manifest:
        """Read every byte back and hold it against the manifest; PackError names the first file that differs."""
        manifest = self.manifest(digest)
        _check(self.path(digest), manifest)
        return manifest

    def digests(self) -> list[str]:
        """The packs that are there, by name."""
        return sorted(folder.name for folder in self._root.iterdir() if len(folder.name) == 64)


def _check(folder: Path, manifest: Manifest) -> None:
    """Hold a folder's every byte against a manifest; PackError names the first file that differs."""
    for name, packed in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.is_symlink():
            raise PackError("a pack's file is missing", got=name, where=folder)
        if path.stat().st_size != packed.bytes:
            raise PackError(
                "a pack's file is damaged", got=f"{path.stat().st_size} bytes", wanted=f"{packed.bytes}", where=path
            )
        if (found := hash_file(path)) != packed.sha256:
            raise PackError("a pack's file is damaged", got=found[:12], wanted=packed.sha256[:12], where=path)
    extra = {file.name for file in folder.iterdir()} - manifest.files.keys() - {MANIFEST_FILE}
    if extra:
        raise PackError("a pack holds a file that its manifest does not name", got=sorted(extra)[0], where=folder)
    header = read_header(folder / WEIGHTS_FILE)
    if header.data_start % ALIGNMENT:
        raise PackError("a pack's tensors do not start at a page", got=header.data_start, where=folder / WEIGHTS_FILE)
