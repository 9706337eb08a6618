"""Which weights stay: live, what live could go back to, the base, pinned ones, and whatever an open pass names."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import make_contract, make_recipe
from lineage import base_of, make_live, make_pack
from theatre import learns_everything, small_theatre

from autosurgeon.errors import PackError
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.decide.live import last_good_pack, revert
from autosurgeon.loop.deploy.retention import Freed, collect, reasons_to_keep
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import prepare_run
from autosurgeon.packs.pins import Pin, write_pins


def five_versions(ins: Instruments) -> list[str]:
    """The base and four packs that were made live after it, oldest first."""
    prepare_run(ins)
    read_baseline(ins)
    return [base_of(ins), *(make_live(ins, make_pack(ins, generation)) for generation in (5, 6, 7, 8))]


def gc(ins: Instruments, keep_live: int, *, dry_run: bool = False) -> tuple[set[str], int]:
    """What was removed, and how many bytes that freed."""
    removed: list[Freed] = []
    freed = collect(ins.store, ins.packs, ins.workspace.pins, keep_live, removed=removed.append, dry_run=dry_run)
    return {one.pack for one in removed}, freed


def test_live_its_predecessors_and_the_base_stay_and_older_weights_go(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        base, one, two, three, live = five_versions(ins)
        never_live, size = make_pack(ins, 9), ins.packs.weights_bytes(one)
        assert gc(ins, 2, dry_run=True) == ({one, never_live}, 2 * size)
        assert ins.packs.has_weights(one)
        assert gc(ins, 2) == ({one, never_live}, 2 * size)
        assert [ins.packs.has_weights(pack) for pack in (base, one, two, three, live, never_live)] == [
            *(True, False, True, True, True, False)
        ]
        assert gc(ins, 2) == (set(), 0)
        assert {manifest.digest for manifest, _, _ in ins.store.packs()} >= {one, never_live}
        prepare_run(ins)  # what retention removed is no damage
        assert ins.store.live_history()[-1].pack == live


def test_each_kept_pack_has_its_reason(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        base, one, two, three, live = five_versions(ins)
        assert reasons_to_keep(ins.store, [one], 1) == {live: "live", base: "base", one: "pinned", three: "was live"}
        ins.store.begin_pass(make_recipe(), two, live, make_contract())
        assert reasons_to_keep(ins.store, [], 0) == {live: "live", base: "base", two: "open pass 1"}


def test_a_pinned_pack_stays_until_it_is_unpinned(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        _, one, two, three, _ = five_versions(ins)
        write_pins(ins.workspace.pins, [Pin(pack=one, reason="r", by="me", at="now")])
        assert gc(ins, 0)[0] == {two, three}
        write_pins(ins.workspace.pins, [])
        assert gc(ins, 0)[0] == {one}


def test_what_live_was_reverted_from_does_not_take_the_place_of_a_good_one(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        _, one, two, three, bad = five_versions(ins)
        revert(ins, None, bad, "by the test")
        assert ins.store.live_history()[-1].pack == three
        assert gc(ins, 1)[0] == {one, bad}
        assert ins.packs.has_weights(two)


def test_live_never_goes_back_to_a_pack_whose_weights_are_gone(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        base, *_, live = five_versions(ins)
        gc(ins, 0)
        assert last_good_pack(ins, but=live) == base
        ins.packs.remove_weights(base)
        with pytest.raises(PackError, match="nothing to revert to"):
            last_good_pack(ins, but=live)


def test_what_a_crash_left_before_the_memory_knew_of_it_goes_too(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        five_versions(ins)
        ins.store.commit_stage = lambda *_, **__: None  # type: ignore[method-assign]  # the crash
        unknown = make_pack(ins, 9)
        trash = ins.workspace.packs / "trash"
        trash.mkdir(exist_ok=True)
        (trash / "half-removed").write_bytes(b"weights")
        assert gc(ins, 3)[0] == {unknown}
        assert not (trash / "half-removed").exists()
