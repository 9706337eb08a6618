"""A full disk differs from other failures by the error or by the free space."""

from __future__ import annotations

from pathlib import Path

import pytest
from theatre import learns_everything, small_theatre

from autosurgeon.errors import CapsuleError, StoreError
from autosurgeon.loop.engine.pause import ran_out_of_space


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
