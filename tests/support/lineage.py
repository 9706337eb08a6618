"""Packs and live versions without passes, for tests of what is done with them."""

from __future__ import annotations

import shutil

from autosurgeon.core.decision import Decision
from autosurgeon.core.pack import Lineage
from autosurgeon.loop.decide.settle import decide
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.store.database import utc_now


def base_of(ins: Instruments) -> str:
    """The pack that was live first."""
    return ins.store.live_history()[0].pack


def make_pack(ins: Instruments, generation: int) -> str:
    """Commit a pack of that generation, as a child of the base; its digest."""
    base, staged = ins.packs.path(base_of(ins)), ins.workspace.root / f"staged-{generation}"
    shutil.copytree(base, staged)
    weights = staged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-2] + generation.to_bytes(2, "little"))
    manifest = ins.packs.commit(staged, Lineage(parent=base_of(ins)))
    ins.store.commit_stage("test", f"pack-{generation}", {}, 0.0, "e", pack=(manifest, None))
    return manifest.digest


def make_live(ins: Instruments, pack: str) -> str:
    """Make a pack live, as a promotion does; the pack."""
    version = len(ins.store.live_history()) + 1
    decision = Decision(
        decision_id=f"test-v{version}",
        pass_number=None,
        judgement=None,
        action="promote",
        reason="by the test",
        at=utc_now(),
    )
    decide(ins, decision, live_pack=pack)
    return pack


def flip_a_byte(ins: Instruments, pack: str) -> None:
    """Damage a pack's weights so that only reading them back shows it."""
    weights = ins.packs.path(pack) / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
