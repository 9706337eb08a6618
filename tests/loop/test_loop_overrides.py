"""A person's word against a verdict: what it can do, what it cannot, and that it is written down."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders import make_policy, make_rule
from theatre import GainsTwoByLuck, first_half, jobs_of, learns_everything, small_theatre

from autosurgeon.core.decision import Verdict
from autosurgeon.core.jobs import MergeJob, TrainJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.person import Person
from autosurgeon.core.value import Value
from autosurgeon.errors import UserError
from autosurgeon.loop.decide import overrides as overrides
from autosurgeon.loop.decide.overrides import override
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import run

TOMORROW = datetime.now(UTC) + timedelta(days=1)


def forgets_one(generation: int, task_id: str) -> bool:
    return task_id != "b/gate-2" if generation else first_half(task_id)


def accept(ins: Instruments, until: datetime = TOMORROW) -> None:
    override(ins, 1, Verdict.ACCEPT, by=Person(login="ann"), reason="a broken test", expires_at=until)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Instruments]:
    """A pass that was held at its promotion, its run over."""
    with small_theatre(tmp_path, GainsTwoByLuck()) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.HELD
        yield ins


def test_a_held_promotion_that_a_person_accepts_goes_live_and_is_watched(held: Instruments) -> None:
    accept(held)
    assert held.store.get_pass(1).state == PassState.PACKED
    assert held.store.live_history()[-1].version == 1
    run(held)
    record = held.store.get_pass(1)
    assert record.state == PassState.CONFIRMED
    assert held.store.live_history()[-1].pack == record.pack
    assert [d.action for d in held.store.decisions(1)][-3:] == ["override", "promote", "continue"]
    word = held.store.decisions(1)[-2].override
    assert word is not None
    assert (word.by, word.reason, word.overrules) == ("ann", "a broken test", "pass-0001-promotion")


def test_the_verdict_that_was_overruled_stays_as_it_was_written(held: Instruments) -> None:
    before = held.store.decision("pass-0001-promotion")
    accept(held)
    run(held)
    assert held.store.decision("pass-0001-promotion") == before


def test_a_lost_anchor_that_a_person_accepts_lets_the_pass_go_on_to_its_next_gate(tmp_path: Path) -> None:
    with small_theatre(tmp_path, forgets_one) as ins:
        run(ins)
        assert not any(isinstance(job, MergeJob) for job in jobs_of(ins))
        accept(ins)
        run(ins)
        assert sum(isinstance(job, TrainJob) for job in jobs_of(ins)) == 1
        record = ins.store.get_pass(1)
        assert record.state == PassState.REJECTED
        assert "no-anchor-lost" in record.reason


def test_an_override_that_expired_before_the_loop_came_to_it_has_no_effect(
    held: Instruments, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(held)
    monkeypatch.setattr(overrides, "utc_now", lambda: (TOMORROW + timedelta(days=1)).isoformat())
    run(held)
    assert held.store.get_pass(1).state == PassState.HELD
    assert "expired" in held.store.get_pass(1).reason
    assert held.store.live_history()[-1].version == 1


def test_a_run_that_stops_while_it_carries_an_override_out_ends_as_one_that_did_not(held: Instruments) -> None:
    accept(held)
    held.brakes.stop_requested = True
    assert run(held) == "stopped"
    held.brakes.stop_requested = False
    run(held)
    assert held.store.get_pass(1).state == PassState.CONFIRMED
    assert sum(d.action == "promote" for d in held.store.decisions(1)) == 1


def test_no_override_skips_invalid(tmp_path: Path) -> None:
    # A gate without rules fails its self-test, and its verdict is INVALID.
    with small_theatre(tmp_path, learns_everything) as ins:
        run(
            dataclasses.replace(
                ins, policy=make_policy(make_rule("first", "baseline.verified", phase="baseline", equals=True))
            )
        )
        assert ins.store.get_pass(1).verdict == Verdict.INVALID
        with pytest.raises(UserError, match="no override skips INVALID"):
            accept(ins)


def test_a_pass_that_live_has_moved_past_cannot_be_accepted(tmp_path: Path) -> None:
    by_luck = GainsTwoByLuck()

    def second_is_good(generation: int, task_id: str) -> bool:
        return learns_everything(generation, task_id) if generation > 1 else by_luck(generation, task_id)

    with small_theatre(tmp_path, second_is_good, passes=2) as ins:
        run(ins)
        assert ins.store.get_pass(2).state == PassState.CONFIRMED
        with pytest.raises(UserError, match="live has moved"):
            accept(ins)


def test_a_word_without_reason_or_with_no_time_left_is_no_word(held: Instruments) -> None:
    with pytest.raises(UserError, match="needs a reason"):
        override(held, 1, Verdict.ACCEPT, by=Person(login="ann"), reason=" ", expires_at=TOMORROW)
    with pytest.raises(UserError, match="has expired"):
        accept(held, datetime.now(UTC) - timedelta(seconds=1))
    assert held.store.decisions(1)[-1].action == "stop"


def test_what_was_accepted_or_is_live_cannot_be_overruled(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        with pytest.raises(UserError, match="was not refused; got CONFIRMED"):
            accept(ins)
        with pytest.raises(UserError, match="pack revert"):
            override(ins, 1, Verdict.REJECT, by=Person(login="ann"), reason="no", expires_at=TOMORROW)


def test_an_open_pass_that_a_person_rejects_is_over(tmp_path: Path) -> None:
    def stop(job: Value) -> None:
        if isinstance(job, TrainJob):
            ins.brakes.stop_requested = True

    with small_theatre(tmp_path, learns_everything, before=stop) as ins:
        run(ins)
        override(ins, 1, Verdict.REJECT, by=Person(login="ann"), reason="the power is needed", expires_at=TOMORROW)
        assert ins.store.get_pass(1).state == PassState.REJECTED
        assert ins.store.get_pass(1).reason.startswith("REJECT by ann")
