"""A state machine test: any sequence of events leaves the loop in the state of a small model of it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from math import fsum
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from lineage import flip_a_byte
from loopdriver import ALPHA, Driven
from loopmodel import KINDS, Kind, LoopModel
from surroundings import World

from autosurgeon import failpoints
from autosurgeon.audit.verify import verify
from autosurgeon.core.decision import Alpha
from autosurgeon.core.hash_chain import Head
from autosurgeon.core.pass_states import PassState, pass_scope
from autosurgeon.errors import PackError
from autosurgeon.loop.decide.live import revert
from autosurgeon.loop.deploy.check_packs import damage_of
from autosurgeon.loop.engine import pause as standstill
from autosurgeon.loop.engine.stop_requests import ask, paused
from autosurgeon.store.lock import myself

T = TypeVar("T")
PASSAGES = st.integers(1, 200)
"""A promoted pass reaches about so many failpoints, with as many capsule jobs as stand below."""
JOBS = st.integers(1, 12)


class LoopMachine(Driven, RuleBasedStateMachine):
    """Drives the real loop; after each rule its state must be that of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="machine-"))
        self.world, self.patch, self.theatre = World(), pytest.MonkeyPatch(), ExitStack()
        for module in [m for name, m in sys.modules.items() if name.startswith("autosurgeon.")]:
            if getattr(module, "reach", None) is failpoints.reach and module is not failpoints:
                self.patch.setattr(module, "reach", self.world.reach)
        self.patch.setattr(standstill, "free_bytes", self.world.free_bytes)
        self.patch.setattr(standstill, "time", self.world)
        self.decided, self.head, self.looks, self.torn = 0, Head(0, ""), list[Alpha](), False
        self.asked: str | None = None

    def teardown(self) -> None:
        self.theatre.close()
        self.patch.undo()
        shutil.rmtree(self.root)

    # --- the rules ------------------------------------------------------------------------------------------------

    @initialize(script=st.permutations(KINDS), parents=st.sampled_from([("base",), ("live", "base")]))
    def begin(self, script: list[Kind], parents: tuple[str, ...]) -> None:
        self.model, self.parents = LoopModel(script), parents
        self.open()

    @rule()
    def advance(self) -> None:
        """A pass runs to its end, the one that was left open before any other."""
        assert self.run() == "passes"

    @rule(at=PASSAGES)
    def crash(self, at: int) -> None:
        self.world.cut_at = at
        self.run()

    @rule()
    def restart(self) -> None:
        self.reopen()

    @rule(at=PASSAGES, passages=st.integers(1, 3))
    def a_write_finds_the_disk_full(self, at: int, passages: int) -> None:
        self.world.full_at, self.world.full_for = at, passages
        self.run()

    @rule(at=JOBS, looks=st.integers(1, 4))
    def the_disk_fills(self, at: int, looks: int) -> None:
        def fill() -> None:
            self.world.no_space_for = looks + 1

        self.world.act_at, self.world.act = at, fill
        assert self.run() == "passes"

    @rule(at=JOBS, how=st.sampled_from(["signal", "word", "file"]))
    def stop(self, at: int, how: str) -> None:
        def say() -> None:
            if how == "signal":
                self.ins.brakes.stop_requested = True
            elif how == "word":
                ask(self.ins.workspace, "stop", "mia", myself())
            else:
                self.ins.workspace.stop_file.touch()

        self.world.act_at, self.world.act = at, say
        assert self.run() in ("passes", "stopped")
        # A process has one run; the word was for the one that is over.
        self.ins.workspace.control.unlink(missing_ok=True)

    @rule(at=JOBS)
    def pause_and_resume(self, at: int) -> None:
        place = self.ins.workspace

        def pause() -> None:
            ask(place, "pause", "mia", myself())

        def resume() -> None:
            seen = paused(place)
            assert seen is not None
            assert seen.by == "mia"
            ask(place, "run", "ben", myself())

        self.world.act_at, self.world.act, self.world.wait = at, pause, resume
        assert self.run() == "passes"
        ask(place, "run", "ben", None)  # where it was paused after the last stage

    @precondition(lambda self: self.model.live)
    @rule(data=st.data(), at=st.none() | st.integers(1, 12))
    def revert(self, data: st.DataObject, at: int | None) -> None:
        """A person's `pack revert`, with or without a target; the power may fail meanwhile."""
        live = self.model.live[-1]
        whole = [pack for pack in dict.fromkeys(self.model.live) if pack != live and pack not in self.model.damaged]
        to = data.draw(st.sampled_from([None, *whole]))
        self.asked = to or self.model.last_good(live)
        self.world.cut_at = at or 0
        if self.asked is None:
            with pytest.raises(PackError, match="no earlier live pack verifies"):
                revert(self.ins, None, live, "by hand", to=to)
            self.world.calm()
            return
        self.attempt(lambda: revert(self.ins, None, live, "by hand", to=to))

    @precondition(lambda self: self.model.live)
    @rule(data=st.data(), how=st.sampled_from(["flip", "remove"]))
    def corrupt_a_pack(self, data: st.DataObject, how: str) -> None:
        """Damage live, an older version, or what a pass has just made; something to go back to is left."""
        made = [record.pack for record in self.ins.store.open_passes() if record.pack]
        watched = [self.model.live[-1], *(pack for pack in made if pack in self.model.live)]
        packs = dict.fromkeys([*self.model.live, *made])
        kept = [pack for pack in packs if all(self.model.may_be_lost(pack, live) for live in watched)]
        if not kept:
            return
        pack = data.draw(st.sampled_from(kept))
        self.model.damaged.add(pack)
        if how == "flip":
            flip_a_byte(self.ins, pack)
        else:
            shutil.rmtree(self.ins.packs.path(pack))

    @rule(log=st.sampled_from(["decisions", "events"]), share=st.floats(0, 1))
    def tear_a_log(self, log: str, share: float) -> None:
        path: Path = getattr(self.ins.workspace, log)
        if path.exists():
            raw = path.read_bytes()
            path.write_bytes(raw[: int(len(raw) * share)])
            self.torn = True

    @rule()
    def delete_the_live_file(self) -> None:
        self.ins.workspace.live_file.unlink(missing_ok=True)

    @rule(data=st.data())
    def delete_a_stage(self, data: st.DataObject) -> None:
        """A stage's folder of the open pass is gone."""
        place = self.ins.workspace
        scopes = [pass_scope(record.number) for record in self.ins.store.open_passes()]
        folders = [folder for scope in scopes for folder in sorted(place.stage(scope, "any").parent.glob("*"))]
        if folders:
            shutil.rmtree(data.draw(st.sampled_from(folders)))

    # --- what has to hold -----------------------------------------------------------------------------------------

    @invariant()
    def it_is_in_the_state_of_the_model(self) -> None:
        store = self.ins.store
        self.follow_decisions()
        self.follow_passes()
        history = store.live_history()
        assert [version.pack for version in history] == self.model.live
        assert [version.version for version in history] == list(range(1, len(history) + 1))
        damaged = {pack for pack in self.model.live if damage_of(self.ins, pack)}
        assert damaged == self.model.damaged & set(self.model.live)
        looks = store.looks()
        assert looks[: len(self.looks)] == self.looks, "alpha was refunded"
        assert [look.look for look in looks] == list(range(1, len(looks) + 1))
        held = self.ins.store.looks_before_live()
        assert fsum(look.spent for look in looks if look.look > held) <= ALPHA
        assert len(looks) <= len(self.model.passes)
        self.looks = looks
        self.check_chain()

    def check_chain(self) -> None:
        """The chain verifies, and goes on from where it was."""
        found = verify(self.ins.workspace, self.ins.store)
        assert found.whole or self.torn, found.findings
        if self.head.size:
            seen = next(self.ins.store.each_event(after=self.head.size - 1, last=self.head.size))
            assert seen.hash == self.head.hash, "the chain was rewritten"
        self.head = self.ins.store.head()
        ids = [decision.decision_id for decision in self.ins.store.decisions()]
        assert len(set(ids)) == len(ids), "a decision was made twice"

    def follow_decisions(self) -> None:
        """Every new decision that moved live is one that the model expects, and went where the model would go."""
        model = self.model
        decisions = self.ins.store.decisions()
        for decision in decisions[self.decided :]:
            if decision.live_version is None:
                continue
            assert decision.live_version == len(model.live) + 1
            assert decision.pack is not None
            if decision.action == "baseline":
                model.begin(decision.pack)
                continue
            record = self.ins.store.get_pass(decision.pass_number) if decision.pass_number is not None else None
            if decision.action == "promote":
                assert record is not None
                model.promote(record, decision.pack)
                continue
            assert decision.action == "revert"
            if record is not None:
                assert record.pack is not None
                assert record.state == PassState.REVERTED
                wanted = model.last_good(record.pack)
            elif model.live[-1] in model.damaged and decision.reason != "by hand":
                wanted = model.last_good(model.live[-1])
            else:
                wanted = self.asked
            assert decision.pack == wanted, decision.reason
            model.revert(wanted)
        self.decided, self.asked = len(decisions), None

    def follow_passes(self) -> None:
        """A pass ends once, as in the model."""
        records = {record.number: record for record in self.ins.store.passes()}
        assert list(records) == list(range(1, len(records) + 1))
        assert sum(not record.state.is_finished for record in records.values()) <= 1
        for number, record in records.items():
            was = self.model.passes.get(number)
            if was is not None and was.state.is_finished:
                assert record == was
            elif record.state.is_finished:
                assert record.state in self.model.ends_of(record), (number, record.state, record.reason)
        self.model.passes = records


@pytest.mark.parametrize(
    ("examples", "steps"), [(6, 8), pytest.param(100, 12, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_whatever_happens_the_loop_is_in_the_state_of_the_model(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        LoopMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
