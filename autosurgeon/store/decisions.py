"""Decisions, the live pointer, policies, paid looks and quarantines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator

from sqlalchemy import Engine
from sqlmodel import col, func, select

from autosurgeon.core.decision import Alpha, Decision, Judgement, Verdict
from autosurgeon.core.digest import digest_text
from autosurgeon.core.pass_states import REOPENINGS, TRANSITIONS, PassState, pass_scope
from autosurgeon.core.person import Person, PersonAct
from autosurgeon.core.records import Feedback, InForce, Live, PassRecord, Quarantine
from autosurgeon.errors import StoreError, UserError
from autosurgeon.store.acts import append_act
from autosurgeon.store.database import snapshot, transaction, utc_now
from autosurgeon.store.events import append
from autosurgeon.store.tables import DecisionRow, LiveRow, LookRow, PassRow, PolicyRow, QuarantineRow

_LIVE = select(LiveRow.version, LiveRow.pack, LiveRow.decision_id, LiveRow.at)


class Judged:
    """The part of the store that holds decisions and what they changed."""

    _engine: Engine

    def live(self) -> Live | None:
        """The live version; None in a new workspace."""
        query = _LIVE.order_by(col(LiveRow.version).desc()).limit(1)
        with snapshot(self._engine) as session:
            last = session.exec(query).first()
            return None if last is None else Live(*last)

    def live_pack_of(self, version: int) -> str | None:
        """The pack of a live version; None where there is no such version."""
        with snapshot(self._engine) as session:
            return session.exec(select(LiveRow.pack).where(LiveRow.version == version)).first()

    def live_history(self) -> list[Live]:
        """Every version, oldest first."""
        with snapshot(self._engine) as session:
            return [Live(*row) for row in session.exec(_LIVE.order_by(col(LiveRow.version)))]

    def base_pack(self) -> str | None:
        """The pack of the first version; None in a new workspace."""
        with snapshot(self._engine) as session:
            return session.exec(select(LiveRow.pack).order_by(col(LiveRow.version)).limit(1)).first()

    def reverted_versions(self) -> set[int]:
        """The live versions that were reverted: each one directly before a version that a revert made."""
        query = (
            select(LiveRow.version)
            .join(DecisionRow, col(DecisionRow.decision_id) == col(LiveRow.decision_id))
            .where(DecisionRow.action == "revert")
        )
        with snapshot(self._engine) as session:
            return {version - 1 for version in session.exec(query)}

    def good_before_live(self) -> str | None:
        """The newest earlier pack that was not reverted; None where there is none.

        Versions are read from the newest back, since a long campaign has thousands.
        """
        query = (
            select(LiveRow.pack, DecisionRow.action)
            .join(DecisionRow, col(DecisionRow.decision_id) == col(LiveRow.decision_id))
            .order_by(col(LiveRow.version).desc())
        )
        live, was_left = None, False
        with (
            snapshot(self._engine) as session,
            contextlib.closing(session.exec(query.execution_options(yield_per=8))) as rows,
        ):
            for pack, action in rows:
                live = live or pack
                if pack != live and not was_left:
                    return pack
                was_left = action == "revert"
        return None

    def decide(
        self,
        decision: Decision,
        *,
        state: PassState | None = None,
        feedback: Feedback | None = None,
        live_pack: str | None = None,
        pack: str | None = None,
        act: PersonAct | None = None,
        above: int = 0,
    ) -> Decision:
        """Write a decision and all that it changes in one transaction; return the decision as written.

        Args:
            decision: written once; deciding the same id again is an error.
            state: the pass's new state.
            feedback: the feedback for the proposer.
            live_pack: the pack that becomes the next live version.
            pack: the pack that the pass made.
            act: the act of the person who decides.
            above: a live version that was written outside; the new one must be higher.

        """
        with transaction(self._engine) as session:
            if live_pack is not None:
                version = max(session.exec(select(func.max(LiveRow.version))).one() or 0, above) + 1
                decision = decision.model_copy(update={"live_version": version, "pack": live_pack})
                session.add(LiveRow(version=version, pack=live_pack, decision_id=decision.decision_id, at=decision.at))
            judgement = decision.judgement
            session.add(
                DecisionRow(
                    decision_id=decision.decision_id,
                    pass_number=decision.pass_number,
                    phase=judgement.phase if judgement else None,
                    verdict=judgement.verdict if judgement else None,
                    action=decision.action,
                    record=json.dumps(decision.record()),
                    at=decision.at,
                )
            )
            if decision.pass_number is not None and state is not None:
                row = session.get_one(PassRow, decision.pass_number)
                move(row, state, reopen=decision.action == "override" and PassState(row.state).is_finished)
                row.reason = decision.reason
                row.verdict = judgement.verdict if judgement else row.verdict
                row.pack = pack or row.pack
                row.feedback = feedback.model_dump_json() if feedback else row.feedback
            append(session, utc_now(), "decision", decision.decision_id, decision.record())
            if act is not None:
                append_act(session, act.model_copy(update={"decision": decision.decision_id}))
        return decision

    def decisions(self, pass_number: int | None = None) -> list[Decision]:
        """Every decision, oldest first; only those of one pass, if given."""
        query = select(DecisionRow).order_by(col(DecisionRow.seq))
        if pass_number is not None:
            query = query.where(DecisionRow.pass_number == pass_number)
        with snapshot(self._engine) as session:
            return [Decision.model_validate_json(row.record) for row in session.exec(query)]

    def judgements(self, pass_number: int) -> list[Judgement]:
        """The judgements of a pass, oldest first."""
        return [decision.judgement for decision in self.decisions(pass_number) if decision.judgement]

    def last_refusal(self, pass_number: int) -> Judgement | None:
        """The newest judgement of a pass that does not accept; None where there is none."""
        query = (
            select(DecisionRow.record)
            .where(DecisionRow.pass_number == pass_number, col(DecisionRow.verdict) != Verdict.ACCEPT)
            .order_by(col(DecisionRow.seq).desc())
            .limit(1)
        )
        with snapshot(self._engine) as session:
            record = session.exec(query).first()
        return None if record is None else Decision.model_validate_json(record).judgement

    def each_decision(self, *, after: int = 0) -> Iterator[Decision]:
        """Every decision after a row, oldest first, one at a time."""
        query = select(DecisionRow.record).where(col(DecisionRow.seq) > after).order_by(col(DecisionRow.seq))
        with snapshot(self._engine) as session:
            for record in session.exec(query.execution_options(yield_per=200)):
                yield Decision.model_validate_json(record)

    def decisions_named(self, ids: Collection[str]) -> dict[str, Decision]:
        """The existing decisions of some ids, by id."""
        query = select(DecisionRow.decision_id, DecisionRow.record).where(col(DecisionRow.decision_id).in_(ids))
        with snapshot(self._engine) as session:
            return {decision_id: Decision.model_validate_json(record) for decision_id, record in session.exec(query)}

    def place_of(self, decision_id: str) -> int | None:
        """The row number of a decision; None when there is no such id."""
        with snapshot(self._engine) as session:
            return session.exec(select(DecisionRow.seq).where(DecisionRow.decision_id == decision_id)).first()

    def decision(self, decision_id: str) -> Decision:
        """One decision; UserError when there is no such id."""
        with snapshot(self._engine) as session:
            row = session.exec(select(DecisionRow).where(DecisionRow.decision_id == decision_id)).first()
            if row is None:
                wanted = "one of `autosurgeon audit log`"
                raise UserError("there is no such decision", got=repr(decision_id), wanted=wanted)
            return Decision.model_validate_json(row.record)

    # --- policies, looks and quarantines -----------------------------------------------------------------------

    def keep_policy(self, digest: str, content: str) -> None:
        """Store a policy as JSON under its digest, once."""
        with transaction(self._engine) as session:
            if session.get(PolicyRow, digest) is None:
                row = PolicyRow(digest=digest, content=content, at=utc_now())
                session.add(row)
                append(session, row.at, "policy-kept", digest, {"content": digest_text(content)})

    def policy(self, digest: str) -> str | None:
        """A stored policy as JSON."""
        with snapshot(self._engine) as session:
            row = session.get(PolicyRow, digest)
            return None if row is None else row.content

    def in_force_in(self, record: PassRecord) -> InForce | None:
        """What was in force when a pass began; None for older passes."""
        if record.contract is None:
            return None
        return in_force_by(record.contract.policy, self.policy(record.contract.policy), record.contract.seed)

    def in_force_in_each(self, records: Iterable[PassRecord]) -> dict[int, InForce]:
        """What was in force when each pass began, by its number; older passes are left out."""
        contracts = {record.number: record.contract for record in records if record.contract is not None}
        kept = {digest: self.policy(digest) for digest in {contract.policy for contract in contracts.values()}}
        return {number: in_force_by(one.policy, kept[one.policy], one.seed) for number, one in contracts.items()}

    def looks(self) -> list[Alpha]:
        """Every paid look, oldest first."""
        with snapshot(self._engine) as session:
            rows = session.exec(select(LookRow).order_by(col(LookRow.look)))
            return [Alpha(look=row.look, spent=row.alpha, left=row.left) for row in rows]

    def looks_paid(self) -> int:
        """The number of used looks, which is the newest one's number: a pass of several candidates uses several."""
        with snapshot(self._engine) as session:
            return session.exec(select(func.max(LookRow.look))).one() or 0

    def looks_before_live(self) -> int:
        """The number of the look that the newest confirmed pass paid for; 0 before the first."""
        query = select(func.max(LookRow.look)).join(PassRow, col(PassRow.number) == col(LookRow.pass_number))
        with snapshot(self._engine) as session:
            return session.exec(query.where(PassRow.state == PassState.CONFIRMED)).one() or 0

    def look_of(self, pass_number: int) -> Alpha | None:
        """The paid look of a pass."""
        with snapshot(self._engine) as session:
            row = session.exec(select(LookRow).where(LookRow.pass_number == pass_number)).first()
            return None if row is None else Alpha(look=row.look, spent=row.alpha, left=row.left)

    def pay_look(self, pass_number: int, alpha: Alpha) -> None:
        """Record the alpha of a pass's look, before it looks."""
        with transaction(self._engine) as session:
            row = LookRow(look=alpha.look, pass_number=pass_number, alpha=alpha.spent, left=alpha.left, at=utc_now())
            session.add(row)
            append(session, row.at, "look-paid", pass_scope(pass_number), alpha.model_dump(mode="json"))

    def quarantine(self, task_id: str, reason: str, by: Person, expires_at: str) -> Quarantine:
        """Quarantine an anchor until a time; a newer quarantine of the same task replaces the older one."""
        with transaction(self._engine) as session:
            row = QuarantineRow(task_id=task_id, reason=reason, by=by.name, at=utc_now(), expires_at=expires_at)
            session.add(row)
            quarantine = Quarantine.model_validate(row.model_dump(exclude={"id"}))
            append(session, row.at, "quarantine", task_id, quarantine.model_dump(mode="json"))
            act = PersonAct(act="quarantine", who=by, at=row.at, reason=reason, until=expires_at, task=task_id)
            append_act(session, act)
            return quarantine

    def quarantines(self) -> dict[str, Quarantine]:
        """The newest quarantine of each task, including expired ones."""
        with snapshot(self._engine) as session:
            rows = session.exec(select(QuarantineRow).order_by(col(QuarantineRow.id)))
            return {row.task_id: Quarantine.model_validate(row.model_dump(exclude={"id"})) for row in rows}


def in_force_by(digest: str, content: str | None, seed: int | None) -> InForce:
    """What is in force by a policy's digest, with name and parameters where its content is stored."""
    kept = json.loads(content) if content is not None else {}
    params = {name: param.get("default") for name, param in (kept.get("params") or {}).items()}
    return InForce(policy=digest, name=kept.get("name", ""), params=params, seed=seed)


def move(row: PassRow, state: PassState, *, reopen: bool = False) -> None:
    """Move a pass to another state; StoreError for a transition that is not allowed."""
    legal = REOPENINGS if reopen else TRANSITIONS
    if state not in legal.get(PassState(row.state), set()):
        raise StoreError(f"pass {row.number} cannot go from {row.state} to {state}")
    row.state = state
    row.ended_at = utc_now() if state.is_finished else None
