"""The store: rows to core values and back, with one transaction per change."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, col, func, select

from autosurgeon.core.decision import Cost
from autosurgeon.core.digest import digest_text
from autosurgeon.core.envelope import Envelope
from autosurgeon.core.pack import Manifest
from autosurgeon.core.pass_states import PassState, pass_scope
from autosurgeon.core.person import PersonAct
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import AnchorRun, Contract, Feedback, InForce, RunRecord
from autosurgeon.core.usage import Usage
from autosurgeon.store.acts import Acts, append_act
from autosurgeon.store.costs import Spent, spend
from autosurgeon.store.database import open_database, snapshot, transaction, utc_now
from autosurgeon.store.decisions import Judged, in_force_by, move
from autosurgeon.store.deployments import Deployed
from autosurgeon.store.events import append
from autosurgeon.store.lock import database_lock
from autosurgeon.store.pass_queries import Attempted
from autosurgeon.store.read_chain import Chained
from autosurgeon.store.restorations import Restorations
from autosurgeon.store.results import Measured
from autosurgeon.store.stages import Staged
from autosurgeon.store.tables import (
    AnchorRunRow,
    BegunRow,
    BenchRow,
    ConfirmationRow,
    PackRow,
    PassRow,
    PolicyRow,
    RunRow,
    StageRow,
)
from autosurgeon.store.trained_rows import Taught, teach


class SqlStore(Attempted, Staged, Spent, Taught, Measured, Judged, Deployed, Acts, Restorations, Chained):
    """The memory of one workspace; runs, stages and transitions of passes here, the rest in its base classes."""

    def __init__(self, where: Path | str, *, create: bool = False, look_only: bool = False) -> None:
        """Open a SQLite file, or a PostgreSQL database by its URL; WorkspaceError when it cannot be used.

        With `look_only` nothing is written, neither migrations nor SQLite's auxiliary files.
        """
        self._engine: Engine = open_database(where, create=create, look_only=look_only)

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def sole_loop(self) -> contextlib.AbstractContextManager[None]:
        """A context without another loop on this database; WorkspaceError when one is running."""
        return database_lock(self._engine)

    # --- runs ---------------------------------------------------------------------------------------------------

    def begin_run(
        self,
        passes: int | None,
        hours: float | None,
        in_force: InForce | None = None,
        act: PersonAct | None = None,
    ) -> int:
        """Record the start of a run and a person's changes; a run that is still open was killed and is closed."""
        with transaction(self._engine) as session:
            for row in session.exec(select(RunRow).where(col(RunRow.ended_at).is_(None))):
                _end(session, row, "killed")
            run = RunRow(started_at=utc_now(), passes_limit=passes, hours_limit=hours)
            content: dict[str, Any] = {"passes": passes, "hours": hours}
            if in_force is not None:
                run.policy, run.policy_file, run.seed = in_force.policy, in_force.file, in_force.seed
                run.params = json.dumps(in_force.assigned, sort_keys=True)
                content["in_force"] = in_force.model_dump(mode="json")
            session.add(run)
            session.flush()
            assert run.id is not None
            if act is not None:
                append_act(session, act)
            append(session, run.started_at, "run-begun", f"run-{run.id}", content)
            return run.id

    def count_pass(self, run_id: int) -> None:
        """Count a finished pass of this run."""
        with transaction(self._engine) as session:
            session.get_one(RunRow, run_id).passes_done += 1

    def end_run(self, run_id: int, reason: str, detail: str | None = None, act: PersonAct | None = None) -> None:
        """Record why a run ended, the detail of the end, and the person's act that ended it, if any."""
        with transaction(self._engine) as session:
            if act is not None:
                append_act(session, act)
            _end(session, session.get_one(RunRow, run_id), reason, detail)

    def last_run(self) -> RunRecord | None:
        """The newest run."""
        with snapshot(self._engine) as session:
            row = session.exec(select(RunRow).order_by(col(RunRow.id).desc())).first()
            return None if row is None else _run_record(row, session.get(PolicyRow, row.policy) if row.policy else None)

    # --- passes and their stages --------------------------------------------------------------------------------

    def begin_pass(self, recipe: Recipe, parent: str, live: str, contract: Contract) -> int:
        """Begin a pass in state PROPOSED; return its number."""
        with transaction(self._engine) as session:
            number = (session.exec(select(func.max(PassRow.number))).one() or 0) + 1
            row = PassRow(
                number=number,
                state=PassState.PROPOSED,
                recipe=recipe.model_dump_json(),
                parent=parent,
                live_before=live,
                started_at=utc_now(),
                contract=contract.model_dump_json(),
            )
            session.add(row)
            content = {"recipe": recipe.model_dump(mode="json"), "parent": parent, "live": live}
            content["contract"] = contract.model_dump(mode="json")
            append(session, row.started_at, "pass-begun", pass_scope(number), content)
            return number

    def begin_stage(self, scope: str, name: str) -> int:
        """Record that a stage begins; return how often it began before without an end, since its process died."""
        with transaction(self._engine) as session:
            row = session.get(BegunRow, (scope, name)) or BegunRow(scope=scope, name=name, times=0, at="")
            before, row.times, row.at = row.times, row.times + 1, utc_now()
            session.add(row)
            append(session, row.at, "stage-begun", scope, {"stage": name, "unended": before})
            return before

    def put_off_stage(self, scope: str, name: str) -> None:
        """Record that a stage was interrupted without a failure of its own."""
        with transaction(self._engine) as session:
            _end_stage(session, scope, name)

    def record_failure(self, scope: str, name: str, error: str, seconds: float, usage: Usage | None = None) -> None:
        """Record a failed try of a stage, and its cost."""
        failed = select(func.count()).where(
            StageRow.scope == scope, StageRow.name == name, col(StageRow.error).is_not(None)
        )
        with transaction(self._engine) as session:
            attempt = session.exec(failed).one() + 1
            spend(session, Cost.of(seconds, {}, usage))
            row = _stage_row(scope, name, attempt, None, error, seconds, usage)
            session.add(row)
            _end_stage(session, scope, name)
            append(session, row.at, "stage-failed", scope, {"stage": name, "attempt": attempt, "error": error})

    def commit_stage(
        self,
        scope: str,
        name: str,
        output: dict[str, Any],
        seconds: float,
        effect_id: str,
        *,
        usage: Usage | None = None,
        envelopes: tuple[str, str, Iterable[Envelope]] | None = None,
        confirmations: tuple[str, dict[str, tuple[int, int]]] | None = None,
        pack: tuple[Manifest, int | None] | None = None,
        anchor_runs: Iterable[AnchorRun] = (),
    ) -> None:
        """Commit a stage's output with its measurements.

        Args:
            scope: the scope of the stage: `pass-0007`, or a pack's when the loop measures outside a pass.
            name: the stage.
            output: JSON, reused when the pass is continued.
            seconds: its duration.
            effect_id: the id of its effect.
            usage: the usage of its capsules.
            envelopes: (pack, occasion, results).
            confirmations: (pack, {task: (samples, passed)}).
            pack: (manifest, pass number or None for a base).
            anchor_runs: the results of anchors.

        """
        with transaction(self._engine) as session:
            attempt = 1 + len(
                session.exec(select(StageRow.id).where(StageRow.scope == scope, StageRow.name == name)).all()
            )
            spend(session, Cost.of(seconds, output, usage))
            row = _stage_row(scope, name, attempt, json.dumps(output), None, seconds, usage)
            row.effect_id = effect_id
            session.add(row)
            _end_stage(session, scope, name)
            if name == "dataset":
                teach(session, scope, output)
            if envelopes is not None:
                digest, occasion, results = envelopes
                session.add_all(_bench_row(digest, occasion, envelope) for envelope in results)
            if confirmations is not None:
                _confirm(session, *confirmations)
            if pack is not None:
                _add_pack(session, *pack)
            _add_anchor_runs(session, anchor_runs)
            content = {"stage": name, "attempt": attempt, "seconds": seconds, "output": digest_text(row.output or "")}
            content |= {"effect_id": effect_id} | ({"usage": usage.model_dump(mode="json")} if usage else {})
            append(session, row.at, "stage", scope, content)

    def advance(
        self,
        number: int,
        state: PassState,
        *,
        pack: str | None = None,
        reason: str | None = None,
        act: PersonAct | None = None,
    ) -> None:
        """Move a pass to its next state without a decision: after a stage, a failure, or a person's act."""
        with transaction(self._engine) as session:
            row = session.get_one(PassRow, number)
            before = row.state
            move(row, state)
            row.pack = pack or row.pack
            row.reason = reason if reason is not None else row.reason
            if state in (PassState.FAILED, PassState.SUPERSEDED):
                row.feedback = Feedback(failed=True).model_dump_json()
            content = {"from": before, "to": state.value, "pack": row.pack, "reason": row.reason}
            if act is not None:
                append_act(session, act)
            append(session, utc_now(), "pass-moved", pass_scope(number), content)


def _end(session: Session, row: RunRow, reason: str, detail: str | None = None) -> None:
    row.ended_at, row.end_reason, row.end_detail = utc_now(), reason, detail
    content = {"reason": reason, "passes": row.passes_done} | ({"detail": detail} if detail is not None else {})
    append(session, row.ended_at, "run-ended", f"run-{row.id}", content)


def _run_record(row: RunRow, kept: PolicyRow | None) -> RunRecord:
    content = row.model_dump(exclude={"policy", "policy_file", "params", "seed"})
    if row.policy is not None:
        in_force = in_force_by(row.policy, kept.content if kept else None, row.seed)
        source = {"assigned": json.loads(row.params or "{}"), "file": row.policy_file}
        content["in_force"] = in_force.model_copy(update=source)
    return RunRecord.model_validate(content)


def _end_stage(session: Session, scope: str, name: str) -> None:
    """Remove the record that a stage was begun, since it has ended."""
    begun = session.get(BegunRow, (scope, name))
    if begun is not None:
        session.delete(begun)


def _stage_row(
    scope: str, name: str, attempt: int, output: str | None, error: str | None, seconds: float, usage: Usage | None
) -> StageRow:
    return StageRow(
        scope=scope,
        name=name,
        attempt=attempt,
        output=output,
        error=error,
        seconds=seconds,
        at=utc_now(),
        usage=usage.model_dump_json() if usage else None,
    )


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


def _confirm(session: Session, digest: str, counts: dict[str, tuple[int, int]]) -> None:
    """Store the results of samples; existing results of the same pack stay."""
    known = set(session.exec(select(ConfirmationRow.task_id).where(ConfirmationRow.pack == digest)).all())
    session.add_all(
        ConfirmationRow(pack=digest, task_id=task_id, samples=samples, passed=passed)
        for task_id, (samples, passed) in counts.items()
        if task_id not in known
    )


def _add_anchor_runs(session: Session, runs: Iterable[AnchorRun]) -> None:
    """Store the results of anchors; existing rows of a stage that a restored memory runs again stay."""
    known: dict[str, set[str]] = {}
    for run in runs:
        if run.occasion not in known:
            query = select(AnchorRunRow.task_id).where(AnchorRunRow.occasion == run.occasion)
            known[run.occasion] = set(session.exec(query))
        if run.task_id not in known[run.occasion]:
            session.add(AnchorRunRow(**run._asdict(), at=utc_now()))


def _add_pack(session: Session, manifest: Manifest, pass_number: int | None) -> None:
    """Store a pack; of two recipes that make the same pack the first one counts."""
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
