"""The outputs of committed stages, and every try with its cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TypeVar

from pydantic import ValidationError
from sqlalchemy import Engine
from sqlmodel import col, func, select

from autosurgeon.core.records import StageOutput, StageRecord
from autosurgeon.core.stage_results import Effect, StageResult
from autosurgeon.errors import StoreError
from autosurgeon.store.costs import cost_of_try, usage_of
from autosurgeon.store.database import snapshot
from autosurgeon.store.tables import StageRow

Result = TypeVar("Result", bound=StageResult)


class Staged:
    """The part of the store that holds stages."""

    _engine: Engine

    def stage_result(self, scope: str, kind: type[Result], name: str | None = None) -> Result | None:
        """The result of a committed stage, the last one if it ran again; `name` where it differs from the kind's."""
        committed = self.effect(scope, kind, name or kind.stage)
        return None if committed is None else committed.result

    def effect(self, scope: str, kind: type[Result], name: str) -> Effect[Result] | None:
        """The result of a committed stage with the id of its effect, the last one if it ran again."""
        query = (
            select(StageRow)
            .where(StageRow.scope == scope, StageRow.name == name, col(StageRow.output).is_not(None))
            .order_by(col(StageRow.id).desc())
        )
        with snapshot(self._engine) as session:
            row = session.exec(query).first()
            if row is None or row.output is None:
                return None
            return Effect(row.effect_id, read_result(kind, scope, row.output))

    def is_committed(self, scope: str, name: str) -> bool:
        """Whether a stage was committed."""
        query = select(StageRow.id).where(StageRow.scope == scope, StageRow.name == name)
        with snapshot(self._engine) as session:
            return session.exec(query.where(col(StageRow.output).is_not(None)).limit(1)).first() is not None

    def stages(self, scope: str) -> list[StageRecord]:
        """Every try of every stage of a scope, oldest first."""
        with snapshot(self._engine) as session:
            rows = session.exec(select(StageRow).where(StageRow.scope == scope).order_by(col(StageRow.id)))
            return [_record(row) for row in rows]

    def stage_outputs(self, scope: str) -> list[StageOutput]:
        """Every committed stage of a scope, oldest first; the last one of a stage that ran again."""
        with snapshot(self._engine) as session:
            rows = session.exec(
                select(StageRow)
                .where(StageRow.scope == scope, col(StageRow.output).is_not(None))
                .order_by(col(StageRow.id))
            )
            found = {row.name: _output(row) for row in rows}
            return list(found.values())

    def each_result(self, kind: type[Result]) -> Iterator[tuple[str, Result]]:
        """(scope, result) of every committed stage of a kind, oldest first, including repetitions."""
        query = select(StageRow.scope, StageRow.output).where(
            StageRow.name == kind.stage, col(StageRow.output).is_not(None)
        )
        with snapshot(self._engine) as session:
            for scope, output in session.exec(query.order_by(col(StageRow.id)).execution_options(yield_per=200)):
                yield scope, read_result(kind, scope, output or "{}")

    def last_outputs(self, name: str, count: int, *, but: str) -> list[StageOutput]:
        """The newest `count` committed stages of a name in passes, without those of the scope `but`."""
        query = (
            select(StageRow)
            .where(StageRow.name == name, col(StageRow.output).is_not(None), StageRow.scope != but)
            .where(col(StageRow.scope).startswith("pass-"))
            .order_by(col(StageRow.id).desc())
            .limit(count)
        )
        with snapshot(self._engine) as session:
            # Newest first, so that the last one of a stage that ran again counts.
            rows: dict[str, StageRow] = {}
            for row in session.exec(query):
                rows.setdefault(row.scope, row)
            return [_output(row) for row in rows.values()]

    def stage_seconds(self) -> float:
        """The seconds of all stages together, failed tries included."""
        with snapshot(self._engine) as session:
            return float(session.exec(select(func.sum(StageRow.seconds))).one() or 0.0)

    def attempts(self, scope: str, name: str) -> int:
        """The number of tries of a stage that ended, committed or failed."""
        return sum(stage.name == name for stage in self.stages(scope))

    def failed_attempts(self, scope: str, name: str) -> int:
        """The number of failed tries of a stage."""
        return sum(stage.name == name and stage.error is not None for stage in self.stages(scope))


def read_result(kind: type[Result], scope: str, output: str) -> Result:
    """Parse a stage's result from the database; StoreError where it is invalid."""
    try:
        return kind.model_validate_json(output)
    except ValidationError as error:
        first = error.errors()[0]
        got = f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"
        raise StoreError(
            f"the result of stage {kind.stage} of {scope} in the database does not parse: {got}"
        ) from error


def _record(row: StageRow) -> StageRecord:
    return StageRecord(
        row.scope, row.name, row.attempt, row.error, row.seconds, row.at, usage_of(row), cost_of_try(row)
    )


def _output(row: StageRow) -> StageOutput:
    return StageOutput(row.name, json.loads(row.output or "{}"), row.seconds, usage_of(row))
