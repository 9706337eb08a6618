"""A disk that fails under the loop: it stops, tries nothing again, and the next start ends as if nothing had been."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import Faults
from theatre import learns_everything, small_theatre

from autosurgeon.core.pass_states import PassState
from autosurgeon.errors import DurabilityError
from autosurgeon.loop.run_passes import run


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_what_the_disk_refuses_stops_the_loop_and_the_next_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    faults = Faults(monkeypatch)
    with small_theatre(tmp_path / "whole", learns_everything) as ins:
        faults.refuse(call, 0)  # none: counts from here on
        run(ins)
    calls = faults.counts[call]
    assert calls >= 6
    for number in (1, calls // 2, calls):
        root = tmp_path / f"refused-{number}"
        with small_theatre(root, learns_everything) as ins:
            faults.refuse(call, number)
            with pytest.raises(DurabilityError):
                run(ins)
            assert faults.counts[call] == number, "it was not tried again"
            assert not [s for scope in ("base", "pass-0001") for s in ins.store.stages(scope) if s.error]
            assert all(ins.packs.verify(digest) for digest in ins.packs.digests())
            faults.heal()
        with small_theatre(root, learns_everything) as ins:
            run(ins)
            assert ins.store.get_pass(1).state == PassState.CONFIRMED
            live = ins.store.live()
            assert live is not None
            assert ins.packs.verify(live.pack).digest == live.pack
