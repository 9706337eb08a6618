"""A full disk differs from other failures by the error or by the free space."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from theatre import learns_everything, small_theatre

from autosurgeon.errors import CapsuleError, StoreError
from autosurgeon.loop.engine.full_disk import Ballast, is_full_disk
from autosurgeon.loop.engine.pause import ran_out_of_space

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("error", [CapsuleError("bad_outcome", "no outcome"), StoreError("disk I/O error")])
def test_what_fails_without_a_reason_while_nothing_is_free_failed_for_want_of_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    free = [1 << 40]
    with small_theatre(tmp_path, learns_everything) as ins:
        monkeypatch.setattr("autosurgeon.loop.engine.pause.free_bytes", lambda _: free[0])
        assert not ran_out_of_space(ins, error)
        free[0] = 4096
        assert ran_out_of_space(ins, error)
        assert not ran_out_of_space(ins, ValueError("of our own making"))


def test_every_way_to_say_that_the_disk_is_full_is_understood_and_nothing_else() -> None:
    try:
        try:
            raise FULL
        except OSError as error:
            raise ValueError("a weight file could not be written") from error
    except ValueError as error:
        assert is_full_disk(error)
    assert not is_full_disk(OSError(errno.EIO, "Input/output error"))
    assert not is_full_disk(CapsuleError("memory", "16.1 GiB resident"))
    assert not is_full_disk(None)


def test_ballast_holds_real_space_and_a_copy_with_holes_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "data" / "ballast"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(1 << 20)
    Ballast(path, 1).load()
    assert path.stat().st_blocks * 512 >= 1 << 20
    Ballast(path, 1).release()
    Ballast(path, 1).release()
    assert not path.exists()
    Ballast(path, 0).load()
    assert not path.exists()
