"""Overrides: a person lets a pass through a gate that refused it, with a reason and an expiry, and is recorded."""

from __future__ import annotations

from datetime import UTC, datetime

from autosurgeon.core.decision import PHASES, Decision, Override, Phase, Verdict
from autosurgeon.core.pass_states import REACHED, PassState
from autosurgeon.core.person import Person, PersonAct
from autosurgeon.core.records import PassRecord
from autosurgeon.errors import UserError
from autosurgeon.loop.decide.settle import decide
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.store.database import utc_now
from autosurgeon.store.sqlstore import SqlStore


def override(
    ins: Instruments, number: int, verdict: Verdict, *, by: Person, reason: str, expires_at: datetime
) -> Decision:
    """Write a person's override of the last verdict of a pass; the loop acts on it when it runs next.

    Args:
        ins: the instruments.
        number: the pass.
        verdict: ACCEPT lets it through the gate that ended it; REJECT ends one that is open.
        by: who.
        reason: why.
        expires_at: until when, in UTC; past it the override has no effect.

    Raises:
        UserError: there is nothing that it could overrule, the verdict was INVALID, or live has moved since.

    """
    record = ins.store.get_pass(number)
    if not reason.strip():
        raise UserError("an override needs a reason", wanted="--reason with a few words")
    if expires_at <= datetime.now(UTC):
        raise UserError("an override that has expired has no effect", got=expires_at.isoformat(), wanted="a later time")
    last = _last_judged(ins.store, record)
    state = _opened(ins, record, last) if verdict == Verdict.ACCEPT else _closed(record)
    word = Override(
        by=by.name,
        reason=reason.strip(),
        expires_at=expires_at.astimezone(UTC).isoformat(timespec="microseconds"),
        overrules=last.decision_id,
        verdict="ACCEPT" if verdict == Verdict.ACCEPT else "REJECT",
    )
    count = sum(d.action == "override" for d in ins.store.decisions(number))
    at = utc_now()
    act = PersonAct(
        act="override",
        who=by,
        at=at,
        reason=word.reason,
        until=word.expires_at,
        pass_number=number,
        detail={"verdict": word.verdict, "overrules": word.overrules},
    )
    return decide(
        ins,
        Decision(
            decision_id=f"{last.decision_id}-override-{count + 1}",
            pass_number=number,
            judgement=None,
            action="override",
            reason=f"{word.verdict} by {by.name} until {word.expires_at}: {word.reason}",
            at=at,
            override=word,
        ),
        state=state,
        act=act,
    )


def _last_judged(store: SqlStore, record: PassRecord) -> Decision:
    judged = [decision for decision in store.decisions(record.number) if decision.judgement]
    if not judged:
        raise UserError(f"pass {record.number} has no verdict to overrule", got=record.state.value)
    return judged[-1]


def _opened(ins: Instruments, record: PassRecord, last: Decision) -> PassState:
    """The state in which the gate would have let the pass go on."""
    judgement, live = last.judgement, ins.store.live()
    assert judgement is not None  # it was judged
    if record.state not in (PassState.REJECTED, PassState.HELD):
        raise UserError(f"pass {record.number} was not refused", got=record.state.value, wanted="REJECTED or HELD")
    if judgement.verdict == Verdict.INVALID:
        raise UserError("no override skips INVALID: there is no result to accept", got=judgement.reason)
    if live is None or live.pack != record.live_before:
        raise UserError(
            "live has moved since the pass was judged, so its record compares with another pack",
            got=f"live version {live.version if live else 0}",
            wanted="a pass that is judged against what is live; run a new one",
        )
    still_open = ins.store.open_passes()
    if still_open:
        raise UserError(f"pass {still_open[0].number} is open; let it end first", wanted="`autosurgeon run --passes 1`")
    return PassState.PACKED if judgement.phase == "promotion" else REACHED[judgement.phase]


def _closed(record: PassRecord) -> PassState:
    if record.state.is_finished or record.state == PassState.LIVE:
        raise UserError(
            f"pass {record.number} cannot be rejected any more",
            got=record.state.value,
            wanted="an open pass; `autosurgeon pack revert` takes a live pack back",
        )
    return PassState.REJECTED


def standing_override(ins: Instruments, number: int, phase: Phase) -> Override | None:
    """The word that lets a pass through a gate now; one that has expired ends the pass as it was judged."""
    gates = {f"pass-{number:04d}-{known}" for known in PHASES if known == phase}
    words = [d.override for d in ins.store.decisions(number) if d.override and d.override.overrules in gates]
    if not words or words[-1].verdict != "ACCEPT":
        return None
    word = words[-1]
    if word.expires_at > utc_now():
        return word
    # The promotion that it led to stands; what has not happened by now does not happen any more.
    if ins.store.get_pass(number).state == PassState.LIVE:
        return word
    decide(
        ins,
        Decision(
            decision_id=f"{word.overrules}-expired-{len(words)}",
            pass_number=number,
            judgement=None,
            action="stop",
            reason=f"the override by {word.by} expired at {word.expires_at}",
            at=utc_now(),
        ),
        state=PassState.HELD,
    )
    return None
