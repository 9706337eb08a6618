"""The training rows of past passes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from autosurgeon.core.pass_states import number_of
from autosurgeon.core.stage_results import DatasetResult
from autosurgeon.store.database import snapshot
from autosurgeon.store.stages import read_result
from autosurgeon.store.tables import StageRow, TaughtRow


class Taught:
    """The part of the store that holds training rows."""

    _engine: Engine

    def trained_rows(self, scopes: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The tasks that were rows, by the scope of their pass, for some scopes."""
        query = select(StageRow).where(
            StageRow.name == DatasetResult.stage, col(StageRow.output).is_not(None), col(StageRow.scope).in_(scopes)
        )
        with snapshot(self._engine) as session:
            chosen = {
                row.scope: read_result(DatasetResult, row.scope, row.output or "{}").dataset
                for row in session.exec(query.order_by(col(StageRow.id)))
            }
        return {scope: tuple(row.task_id for row in dataset.rows) for scope, dataset in chosen.items()}

    def ever_rows(self) -> frozenset[str]:
        """Every task that was a row."""
        with snapshot(self._engine) as session:
            return frozenset(session.exec(select(TaughtRow.task_id)))

    def ever_poison(self, *, before: int) -> set[str]:
        """Every task that was poison in a pass before a number."""
        with snapshot(self._engine) as session:
            return set(session.exec(select(TaughtRow.task_id).where(col(TaughtRow.poison_pass) < before)))


def teach(session: Session, scope: str, output: dict[str, Any]) -> None:
    """Record the rows of a dataset, in the transaction that commits it."""
    for task_id, poison_pass in rows_of(scope, output):
        row = session.get(TaughtRow, task_id)
        if row is None:
            row = TaughtRow(task_id=task_id)
            session.add(row)
        if poison_pass is not None and (row.poison_pass is None or poison_pass < row.poison_pass):
            row.poison_pass = poison_pass


def rows_of(scope: str, output: dict[str, Any]) -> Iterator[tuple[str, int | None]]:
    """(task, the pass whose poison it was or None) of each row of a dataset stage's output."""
    dataset, number = output.get("dataset"), number_of(scope)
    if not isinstance(dataset, dict):
        return
    poison = set(output.get("poison", ())) if number is not None else set()
    for task_id in sorted({row["task_id"] for row in dataset["rows"]} | poison):
        yield task_id, number if task_id in poison else None
