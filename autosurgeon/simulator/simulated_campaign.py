"""A campaign of the loop on the synthetic learner, with the true value of each decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from autosurgeon.core.pack import ADAPTER_FILE
from autosurgeon.core.pass_states import PassState, pass_scope
from autosurgeon.core.records import PassRecord
from autosurgeon.core.stage_results import AnchorsResult
from autosurgeon.core.task import Split
from autosurgeon.core.value import Value
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import run
from autosurgeon.loop.stages.salvage_rungs import adapter_of
from autosurgeon.simulator.law import Trait, is_won, unpack_margins
from autosurgeon.simulator.weights import read_checkpoint


class Tally(Value):
    """The true results of one campaign; wins count tasks that are never trained on, without coins."""

    seed: int
    ended: str
    """The reason of its end: `passes`, or an earlier one."""
    passes: int
    trained: int
    """The number of candidates."""
    accepted: int
    """Passes that ended as CONFIRMED."""
    reverted: int
    """Promotions that the watch reverted."""
    false_accepts: int
    """Accepted candidates that are truly no better than the pack before."""
    losses: int
    """Confirmed wins that accepted packs truly lost, summed over promotions."""
    lost_at_end: int
    """Wins that were ever confirmed and that the last live pack truly lacks."""
    better: int
    """Candidates that truly won more and lost no confirmed win."""
    missed: int
    """Better candidates that were refused or held."""
    first_gain: int | None
    """The first accepted pass that was truly better; None where there was none."""
    tokens_to_gain: int | None
    """Tokens trained and generated in passes until then."""
    tokens: int
    wins: tuple[int, ...]
    """Wins of the live pack, before the first pass and after each."""


class _Truth(NamedTuple):
    """The true value of a pass's candidate relative to the live pack of its time."""

    before: int
    after: int
    anchors: frozenset[str]
    """Confirmed wins that live truly has."""
    lost: frozenset[str]
    """Confirmed wins that the candidate lacks."""

    @property
    def better(self) -> bool:
        return self.after > self.before and not self.lost


def run_campaign(ins: Instruments, traits: Mapping[str, Trait]) -> Tally:
    """Run the loop until its limits end it, and compare its decisions with the law.

    Args:
        ins: instruments whose capsules use a Learner of these traits.
        traits: the traits of every task.

    """
    return _tally(ins, traits, run(ins))


def _tally(ins: Instruments, traits: Mapping[str, Trait], ended: str) -> Tally:
    records = ins.store.passes()
    base = ins.store.base_pack()
    assert base is not None  # the loop has begun
    live = _won(traits, read_checkpoint(ins.packs.path(base))[0])
    truths = {record.number: truth for record in records if (truth := _truth(ins, traits, record)) is not None}
    accepted = [record.number for record in records if record.state == PassState.CONFIRMED]
    better = [number for number, truth in truths.items() if truth.better]
    wins, tokens, guarded = [_worth(ins, live)], [0], set[str]()
    for record in records:
        if record.state == PassState.CONFIRMED:
            live = _candidate(ins, traits, record) or live
            guarded |= truths[record.number].anchors
        wins.append(_worth(ins, live))
        cost = ins.store.spent_in(pass_scope(record.number))
        tokens.append(tokens[-1] + cost.trained_tokens + cost.generated_tokens)
    first = next((number for number in accepted if truths[number].after > truths[number].before), None)
    return Tally(
        seed=ins.settings.seed,
        ended=ended,
        passes=len(records),
        trained=len(truths),
        accepted=len(accepted),
        reverted=sum(record.state == PassState.REVERTED for record in records),
        false_accepts=sum(truths[number].after <= truths[number].before for number in accepted),
        losses=sum(len(truths[number].lost) for number in accepted),
        lost_at_end=len(guarded - live),
        better=len(better),
        missed=sum(number not in accepted for number in better),
        first_gain=first,
        tokens_to_gain=None if first is None else tokens[first],
        tokens=tokens[-1],
        wins=tuple(wins),
    )


def _truth(ins: Instruments, traits: Mapping[str, Trait], record: PassRecord) -> _Truth | None:
    """None for a pass that trained nothing."""
    after = _candidate(ins, traits, record)
    if after is None:
        return None
    before = _won(traits, read_checkpoint(ins.packs.path(record.live_before))[0])
    noted = ins.store.stage_result(pass_scope(record.number), AnchorsResult)
    anchors = frozenset(noted.anchors if noted else ()) & before
    return _Truth(_worth(ins, before), _worth(ins, after), anchors, anchors - after)


def _candidate(ins: Instruments, traits: Mapping[str, Trait], record: PassRecord) -> frozenset[str] | None:
    """The true wins of a pass's adapter; None where there is none."""
    adapter = adapter_of(ins.store, ins.workspace, record.number)
    return None if adapter is None else _won(traits, (adapter / ADAPTER_FILE).read_bytes())


def _won(traits: Mapping[str, Trait], state: bytes) -> frozenset[str]:
    margins: Sequence[float] = unpack_margins(state)
    return frozenset(
        task_id for (task_id, trait), margin in zip(traits.items(), margins, strict=True) if is_won(trait, margin)
    )


def _worth(ins: Instruments, won: frozenset[str]) -> int:
    """The number of these tasks that are never trained on."""
    return sum(ins.tasks[task_id].split != Split.SURGERY for task_id in won)
