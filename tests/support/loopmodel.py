"""What a loop has to come to, in plain Python: live versions, ends of passes, and what was spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from autosurgeon.core.pass_states import PassState
from autosurgeon.core.records import PassRecord

Kind = Literal["gains", "forgets", "idles", "fools"]
KINDS: tuple[Kind, ...] = ("gains", "forgets", "idles", "fools")
"""What a training comes to: all tasks but one, which no model solves, so that a pass may always be tried; of those all
but an old win; what the base knows; all but the canary."""


def knows(kind: Kind, task_id: str) -> bool:
    """Whether a model of that kind solves a task; the base is an idle one, and knows few."""
    if task_id == "b/gate-3":
        return False
    if kind == "idles":
        return task_id[-1] in "02"
    return not (kind == "forgets" and task_id == "b/gate-2") and not (kind == "fools" and "canary" in task_id)


@dataclass
class LoopModel:
    """The story so far. Packs are named by digest; version n of live is the n-th of `live`."""

    script: Sequence[Kind]
    """Kinds of the passes, over and over."""
    live: list[str] = field(default_factory=list)
    reverted: set[int] = field(default_factory=set)
    """Versions that live was reverted from, which nothing goes back to."""
    passes: dict[int, PassRecord] = field(default_factory=dict)
    """As they were last seen."""
    kinds: dict[str, Kind] = field(default_factory=dict)
    """Of the packs."""
    damaged: set[str] = field(default_factory=set)

    def kind_of(self, number: int) -> Kind:
        """What a pass's training comes to."""
        return self.script[(number - 1) % len(self.script)]

    def begin(self, base: str) -> None:
        """The first pack goes live."""
        assert not self.live
        self.live, self.kinds = [base], {base: "idles"}

    def promote(self, record: PassRecord, pack: str) -> None:
        """A pass's pack goes live, which only one that will be watched may do; it was whole then."""
        assert self.end_of(record) in (PassState.CONFIRMED, PassState.REVERTED), record.number
        self.kinds[pack] = self.kind_of(record.number)
        self.damaged.discard(pack)
        self.live.append(pack)

    def revert(self, to: str | None) -> None:
        """Live goes back to an earlier pack."""
        assert to is not None
        self.reverted.add(len(self.live))
        self.live.append(to)

    def last_good(self, but: str) -> str | None:
        """What a revert goes back to: the newest that is whole and from which no revert has gone back."""
        versions = reversed(list(enumerate(self.live, 1)))
        good = (p for n, p in versions if p != but and n not in self.reverted and p not in self.damaged)
        return next(good, None)

    def may_be_lost(self, pack: str, live: str) -> bool:
        """Whether a pack can be damaged now and `live` still be reverted from."""
        after = replace(self, damaged=self.damaged | {pack})
        return pack not in self.damaged and after.last_good(live) is not None

    def end_of(self, record: PassRecord) -> PassState:
        """How a pass ends that no damage hits: by what it is compared with, and what its parent still has to learn."""
        kind, parent, live = self.kind_of(record.number), self.kinds[record.parent], self.kinds[record.live_before]
        if parent != "idles":
            return PassState.HELD  # it fails nothing that may be trained on
        if kind == "forgets" or (kind == "idles" and live != "idles"):
            return PassState.REJECTED
        if kind == "idles" or live != "idles":
            return PassState.HELD
        return PassState.CONFIRMED if kind == "gains" else PassState.REVERTED

    def ends_of(self, record: PassRecord) -> set[PassState]:
        """How a pass may end, damage included, which is known from before the run and stays as it is while it runs."""
        was = self.passes.get(record.number)
        state = was.state if was else PassState.PROPOSED
        if state == PassState.LIVE:
            # A damaged pack falls, unless it was watched before the damage and a person has moved live since.
            return {self.end_of(record)} | ({PassState.REVERTED} if record.pack in self.damaged else set())
        if was is not None and self.damaged & {record.parent, record.live_before}:
            return {PassState.FAILED}
        trains = self.kinds[record.parent] == "idles"
        return {PassState.FAILED} if trains and record.parent in self.damaged else {self.end_of(record)}
