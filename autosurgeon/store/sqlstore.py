"""The store: rows to core values and back. What belongs together is written in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, col, func, select

from autosurgeon.core.decision import Decision
from autosurgeon.core.envelope import Envelope
from autosurgeon.core.pack import Manifest
from autosurgeon.core.passes import TRANSITIONS, PassState
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import Feedback, Live, PassRecord, RunRecord, StageRecord
from autosurgeon.errors import StoreError, UserError
from autosurgeon.store.database import open_database, transaction, utc_now
from autosurgeon.store.tables import (
    BenchRow,
    ConfirmationRow,
    DecisionRow,
    LiveRow,
    PackRow,
    PassRow,
    RunRow,
    StageRow,
)


class SqlStore:
    """All that is remembered of one workspace."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self._engine: Engine = open_database(path, create=create)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    # --- runs ---------------------------------------------------------------------------------------------------

    def begin_run(self, passes: int | None, hours: float | None) -> int:
        """Note a start; a run that was left open ended without a word, and is closed as such."""
        with transaction(self._engine) as session:
            for row in session.exec(select(RunRow).where(col(RunRow.ended_at).is_(None))):
                row.ended_at, row.end_reason = utc_now(), "killed"
            run = RunRow(started_at=utc_now(), passes_limit=passes, hours_limit=hours)
            session.add(run)
            session.flush()
            assert run.id is not None
            return run.id

    def count_pass(self, run_id: int) -> None:
        """One more pass of this run is over."""
        with transaction(self._engine) as session:
            session.get_one(RunRow, run_id).passes_done += 1

    def end_run(self, run_id: int, reason: str) -> None:
        """Note why a run ended."""
        with transaction(self._engine) as session:
            row = session.get_one(RunRow, run_id)
            row.ended_at, row.end_reason = utc_now(), reason

    def last_run(self) -> RunRecord | None:
        """The newest run."""
        with transaction(self._engine) as session:
            row = session.exec(select(RunRow).order_by(col(RunRow.id).desc())).first()
            return None if row is None else RunRecord.model_validate(row.model_dump())

    # --- passes and their stages --------------------------------------------------------------------------------

    def begin_pass(self, recipe: Recipe, parent: str, live: str) -> int:
        """A new pass in state PROPOSED; its number."""
        with transaction(self._engine) as session:
            number = (session.exec(select(func.max(PassRow.number))).one() or 0) + 1
            session.add(
                PassRow(
                    number=number,
                    state=PassState.PROPOSED,
                    recipe=recipe.model_dump_json(),
                    parent=parent,
                    live_before=live,
                    started_at=utc_now(),
                )
            )
            return number

    def passes(self) -> list[PassRecord]:
        """All passes, oldest first."""
        with transaction(self._engine) as session:
            return [_pass_record(row) for row in session.exec(select(PassRow).order_by(col(PassRow.number)))]

    def get_pass(self, number: int) -> PassRecord:
        """One pass; UserError when there is none of that number."""
        with transaction(self._engine) as session:
            row = session.get(PassRow, number)
            if row is None:
                last = session.exec(select(func.max(PassRow.number))).one() or 0
                raise UserError(
                    "there is no such pass", got=number, wanted=f"1 to {last}" if last else "none was run yet"
                )
            return _pass_record(row)

    def stage_output(self, scope: str, name: str) -> dict[str, Any] | None:
        """A committed stage's output."""
        with transaction(self._engine) as session:
            row = session.exec(
                select(StageRow).where(
                    StageRow.scope == scope, StageRow.name == name, col(StageRow.output).is_not(None)
                )
            ).first()
            return None if row is None or row.output is None else json.loads(row.output)

    def stages(self, scope: str) -> list[StageRecord]:
        """Every try of every stage of a scope, oldest first."""
        with transaction(self._engine) as session:
            rows = session.exec(select(StageRow).where(StageRow.scope == scope).order_by(col(StageRow.id)))
            return [StageRecord(r.scope, r.name, r.attempt, r.error, r.seconds, r.at) for r in rows]

    def failed_attempts(self, scope: str, name: str) -> int:
        """How often a stage was tried in vain."""
        return sum(stage.name == name and stage.error is not None for stage in self.stages(scope))

    def record_failure(self, scope: str, name: str, error: str, seconds: float) -> None:
        """Note that a try of a stage came to nothing."""
        attempt = self.failed_attempts(scope, name) + 1
        with transaction(self._engine) as session:
            session.add(_stage_row(scope, name, attempt, None, error, seconds))

    def commit_stage(
        self,
        scope: str,
        name: str,
        output: dict[str, Any],
        seconds: float,
        *,
        envelopes: tuple[str, str, Iterable[Envelope]] | None = None,
        confirmations: tuple[str, dict[str, tuple[int, int]]] | None = None,
        pack: tuple[Manifest, int | None] | None = None,
    ) -> None:
        """Commit a stage's output with everything that it measured or made.

        Args:
            scope: whose stage it is: `pass-0007`, or a pack's when the loop measures outside a pass.
            name: the stage.
            output: JSON, adopted when the pass is continued.
            seconds: how long it took.
            envelopes: (pack, occasion, results).
            confirmations: (pack, {task: (samples, passed)}).
            pack: (manifest, pass number or None for a base).

        """
        with transaction(self._engine) as session:
            attempt = 1 + len(
                session.exec(select(StageRow.id).where(StageRow.scope == scope, StageRow.name == name)).all()
            )
            session.add(_stage_row(scope, name, attempt, json.dumps(output), None, seconds))
            if envelopes is not None:
                digest, occasion, results = envelopes
                session.add_all(_bench_row(digest, occasion, envelope) for envelope in results)
            if confirmations is not None:
                digest, counts = confirmations
                for task_id, (samples, passed) in counts.items():
                    session.add(ConfirmationRow(pack=digest, task_id=task_id, samples=samples, passed=passed))
            if pack is not None:
                _add_pack(session, *pack)

    # --- what was measured --------------------------------------------------------------------------------------

    def envelopes(self, pack: str, occasion: str | None = None) -> dict[str, Envelope]:
        """A pack's results by task id; over all occasions, a task's newest one."""
        query = select(BenchRow).where(BenchRow.pack == pack).order_by(col(BenchRow.id))
        if occasion is not None:
            query = query.where(BenchRow.occasion == occasion)
        with transaction(self._engine) as session:
            return {row.task_id: Envelope.model_validate_json(row.envelope) for row in session.exec(query)}

    def confirmations(self, pack: str) -> dict[str, tuple[int, int]]:
        """(samples, passed) of a pack's sampled wins."""
        with transaction(self._engine) as session:
            rows = session.exec(select(ConfirmationRow).where(ConfirmationRow.pack == pack))
            return {row.task_id: (row.samples, row.passed) for row in rows}

    def packs(self) -> list[tuple[Manifest, int | None, str]]:
        """(manifest, pass number, when) of every pack, oldest first."""
        with transaction(self._engine) as session:
            rows = session.exec(select(PackRow).order_by(col(PackRow.at)))
            return [(Manifest.model_validate_json(row.manifest), row.pass_number, row.at) for row in rows]

    def find_pack(self, prefix: str) -> str:
        """The one pack whose digest begins so; UserError when there is none, or more than one."""
        found = [manifest.digest for manifest, _, _ in self.packs() if manifest.digest.startswith(prefix)]
        if len(found) != 1:
            got = f"{prefix!r}, which fits {len(found)} packs"
            wanted = "see `autosurgeon pack list`"
            raise UserError("a pack is named by the first digits of its digest", got=got, wanted=wanted)
        return found[0]

    # --- decisions and the live pointer -------------------------------------------------------------------------

    def live(self) -> Live | None:
        """The live version; None in a workspace that has none yet."""
        history = self.live_history()
        return history[-1] if history else None

    def live_history(self) -> list[Live]:
        """Every version, oldest first."""
        with transaction(self._engine) as session:
            rows = session.exec(select(LiveRow).order_by(col(LiveRow.version)))
            return [Live(row.version, row.pack, row.decision_id, row.at) for row in rows]

    def decide(
        self,
        decision: Decision,
        *,
        state: PassState | None = None,
        feedback: Feedback | None = None,
        live_pack: str | None = None,
        pack: str | None = None,
    ) -> Decision:
        """Write a decision and all that it changes, in one transaction; the decision as written.

        Args:
            decision: written once; deciding the same id again is an error.
            state: the pass's new state.
            feedback: what the proposer will be told.
            live_pack: the pack that becomes the next live version.
            pack: the pack that the pass made.

        """
        with transaction(self._engine) as session:
            if live_pack is not None:
                version = (session.exec(select(func.max(LiveRow.version))).one() or 0) + 1
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
                _move(row, state)
                row.reason = decision.reason
                row.verdict = judgement.verdict if judgement else row.verdict
                row.pack = pack or row.pack
                row.feedback = feedback.model_dump_json() if feedback else row.feedback
        return decision

    def advance(self, number: int, state: PassState, *, pack: str | None = None, reason: str | None = None) -> None:
        """Move a pass to its next state without a decision: a stage is done, or the world failed."""
        with transaction(self._engine) as session:
            row = session.get_one(PassRow, number)
            _move(row, state)
            row.pack = pack or row.pack
            row.reason = reason if reason is not None else row.reason
            if state == PassState.FAILED:
                row.feedback = Feedback(failed=True).model_dump_json()

    def decisions(self, pass_number: int | None = None) -> list[Decision]:
        """Every decision, oldest first; those of one pass, if named."""
        query = select(DecisionRow).order_by(col(DecisionRow.seq))
        if pass_number is not None:
            query = query.where(DecisionRow.pass_number == pass_number)
        with transaction(self._engine) as session:
            return [Decision.model_validate_json(row.record) for row in session.exec(query)]


def _move(row: PassRow, state: PassState) -> None:
    if state not in TRANSITIONS[PassState(row.state)]:
        raise StoreError(f"pass {row.number} cannot go from {row.state} to {state}")
    row.state = state
    row.ended_at = utc_now() if state.is_finished else None


def _pass_record(row: PassRow) -> PassRecord:
    content = row.model_dump()
    content["recipe"] = Recipe.model_validate_json(row.recipe)
    content["feedback"] = Feedback.model_validate_json(row.feedback) if row.feedback else None
    return PassRecord.model_validate(content)


def _stage_row(scope: str, name: str, attempt: int, output: str | None, error: str | None, seconds: float) -> StageRow:
    return StageRow(scope=scope, name=name, attempt=attempt, output=output, error=error, seconds=seconds, at=utc_now())


def _bench_row(pack: str, occasion: str, envelope: Envelope) -> BenchRow:
    return BenchRow(
        pack=pack,
        occasion=occasion,
        task_id=envelope.task_id,
        bench=envelope.bench,
        split=envelope.split,
        passed=envelope.passed,
        envelope=envelope.model_dump_json(),
    )


def _add_pack(session: Session, manifest: Manifest, pass_number: int | None) -> None:
    """Two recipes may make one pack; the first keeps the name."""
    if session.get(PackRow, manifest.digest) is None:
        session.add(
            PackRow(
                digest=manifest.digest,
                parent=manifest.lineage.parent,
                pass_number=pass_number,
                manifest=manifest.model_dump_json(),
                at=utc_now(),
            )
        )
