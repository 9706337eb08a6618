"""Integrity: the packs that the loop stands on are read back, and live is never left on one that is damaged."""

from __future__ import annotations

from autosurgeon.core.pass_states import PassState
from autosurgeon.core.records import Live, PassRecord
from autosurgeon.errors import PackError
from autosurgeon.loop.baseline.baseline import open_pass
from autosurgeon.loop.decide.live import revert
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.pass_reports import sources_of, write_pass_report


def check_packs(ins: Instruments) -> None:
    """Read back what live, the live pack before it and an open pass name; at each start, and now and then.

    A damaged live pack is reverted to the newest earlier one that is whole, as a new live version with a decision. An
    open pass that stands on a damaged pack ends as FAILED. Any other damage is reported in a line.

    Raises:
        PackError: live is damaged, and no earlier live pack is whole.

    """
    live, record = ins.store.live(), open_pass(ins)
    if live is None:
        return
    named = dict.fromkeys([live.pack, *_before(ins), *(named_by(record) if record else ())])
    damage = {pack: cause for pack in named if (cause := damage_of(ins, pack))}
    for pack, cause in damage.items():
        ins.reporter.say(f"pack {pack[:12]} is damaged: {cause}")
    if record is not None:
        _end(ins, record, live, damage)
    if live.pack in damage and ins.store.live() == live:
        revert(ins, None, live.pack, _reason(live, damage[live.pack]))


def damage_of(ins: Instruments, pack: str) -> str | None:
    """What is wrong with a pack; None when every byte of it is as it was committed."""
    try:
        ins.packs.verify(pack)
    except PackError as error:
        return str(error)
    return None


def named_by(record: PassRecord) -> tuple[str, ...]:
    """The packs that a pass needs to go on: one that is live needs only its own, since it is only watched."""
    if record.state == PassState.LIVE and record.pack is not None:
        return (record.pack,)
    return (record.parent, record.live_before)


def _end(ins: Instruments, record: PassRecord, live: Live, damage: dict[str, str]) -> None:
    """End an open pass that cannot go on: the one that is live by a revert, any other as FAILED."""
    hit = [pack for pack in named_by(record) if pack in damage]
    if not hit:
        return
    if record.state != PassState.LIVE:
        role = "its parent" if hit[0] == record.parent else "the live pack it is held against"
        reason = f"{role}, pack {hit[0][:12]}, is damaged: {damage[hit[0]]}"
        ins.store.advance(record.number, PassState.FAILED, reason=reason)
    elif record.pack == live.pack:
        revert(ins, record.number, live.pack, _reason(live, damage[live.pack]))
    else:
        return  # a person has moved live meanwhile; the watch decides what follows
    write_pass_report(sources_of(ins), record.number)
    ins.reporter.pass_ended(ins.store.get_pass(record.number))


def _before(ins: Instruments) -> list[str]:
    """The newest pack before live that a revert could go to; none where there is none, or retention removed it."""
    pack = ins.store.good_before_live()
    return [pack] if pack is not None and ins.packs.has_weights(pack) else []


def _reason(live: Live, cause: str) -> str:
    return f"the live pack, version {live.version}, is damaged: {cause}"
