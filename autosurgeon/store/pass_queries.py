"""Queries of passes whose cost does not grow with the number of passes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, text
from sqlmodel import col, func, select

from autosurgeon.core.pass_states import PassState
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import Contract, Feedback, PassRecord
from autosurgeon.errors import UserError
from autosurgeon.store.database import snapshot
from autosurgeon.store.tables import CLIMB, PassRow

OPEN = tuple(state for state in PassState if not state.is_finished)


class Attempted:
    """The part of the store that holds passes."""

    _engine: Engine

    def passes(self) -> list[PassRecord]:
        """All passes, oldest first: for reports, not for the loop."""
        return self._passes(select(PassRow).order_by(col(PassRow.number)))

    def last_passes(self, count: int | None, *, before: int | None = None) -> list[PassRecord]:
        """The newest `count` passes, oldest first; only those before a number, if given."""
        query = select(PassRow).order_by(col(PassRow.number).desc()).limit(count)
        if before is not None:
            query = query.where(col(PassRow.number) < before)
        return self._passes(query)[::-1]

    def open_passes(self) -> list[PassRecord]:
        """The passes that are not finished, oldest first."""
        return self._passes(select(PassRow).where(col(PassRow.state).in_(OPEN)).order_by(col(PassRow.number)))

    def remembered_passes(self, newest: int, best: int, *, before: int | None = None) -> list[PassRecord]:
        """The passes that the proposer learns from, oldest first: the newest, and those that climbed highest on dev.

        Args:
            newest: the number of newest passes.
            best: the number of passes with the highest climb above zero; the newest of equals.
            before: only passes before this number; all when None.

        """
        climb = CLIMB[self._engine.dialect.name]
        query = select(PassRow).where(text(f"{climb} > 0"))
        if before is not None:
            query = query.where(col(PassRow.number) < before)
        highest = self._passes(query.order_by(text(f"{climb} DESC"), col(PassRow.number).desc()).limit(best))
        found = {record.number: record for record in (*highest, *self.last_passes(newest, before=before))}
        return [found[number] for number in sorted(found)]

    def pass_counts(self) -> dict[PassState, int]:
        """The number of passes in each state; states without passes are left out."""
        query = select(PassRow.state, func.count()).group_by(PassRow.state)
        with snapshot(self._engine) as session:
            return {PassState(state): count for state, count in session.exec(query)}

    def numbers_in(self, state: PassState) -> list[int]:
        """The numbers of the passes in a state, in order."""
        query = select(PassRow.number).where(PassRow.state == state).order_by(col(PassRow.number))
        with snapshot(self._engine) as session:
            return list(session.exec(query))

    def get_pass(self, number: int) -> PassRecord:
        """One pass; UserError when there is no such pass."""
        with snapshot(self._engine) as session:
            row = session.get(PassRow, number)
            if row is None:
                last = session.exec(select(func.max(PassRow.number))).one() or 0
                raise UserError(
                    "there is no such pass", got=number, wanted=f"1 to {last}" if last else "none was run yet"
                )
            return _pass_record(row)

    def _passes(self, query: Any) -> list[PassRecord]:
        with snapshot(self._engine) as session:
            return [_pass_record(row) for row in session.exec(query)]


def _pass_record(row: PassRow) -> PassRecord:
    content = row.model_dump()
    content["recipe"] = Recipe.model_validate_json(row.recipe)
    content["feedback"] = Feedback.model_validate_json(row.feedback) if row.feedback else None
    content["contract"] = Contract.model_validate_json(row.contract) if row.contract else None
    return PassRecord.model_validate(content)
