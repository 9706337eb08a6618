"""The cost of stages: the one source of every cost that is shown, of a try, a pass, or a whole workspace.

Every try of every stage counts, committed or failed, also outside of passes, where a base is imported and measured and
the wins of a live pack are confirmed. The sum is stored, so that no query reads a million rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from autosurgeon.core.decision import Cost
from autosurgeon.core.pass_states import number_of
from autosurgeon.core.usage import Usage
from autosurgeon.store.database import snapshot
from autosurgeon.store.tables import SpentRow, StageRow


class Spent:
    """The part of the store that holds the cost of stages."""

    _engine: Engine

    def spent(self) -> Cost:
        """The cost of all stages of the workspace, as far as it is known."""
        with snapshot(self._engine) as session:
            return _spent(session)

    def spent_in(self, scope: str) -> Cost:
        """The cost of the stages of one scope."""
        with snapshot(self._engine) as session:
            rows = session.exec(select(StageRow).where(StageRow.scope == scope).order_by(col(StageRow.id)))
            return sum(map(cost_of_try, rows), Cost())

    def spent_by_pass(self) -> dict[int | None, Cost]:
        """The cost of each pass by its number; under None, the cost outside of passes."""
        found: dict[int | None, Cost] = {}
        with snapshot(self._engine) as session:
            for row in _every_try(session):
                number = number_of(row.scope)
                found[number] = found.get(number, Cost()) + cost_of_try(row)
        return found


def usage_of(row: StageRow) -> Usage | None:
    """What a try used; None for a try that is older than this record."""
    return None if row.usage is None else Usage.model_validate_json(row.usage)


def cost_of_try(row: StageRow) -> Cost:
    """The cost of one try of a stage."""
    return Cost.of(row.seconds, _with_tokens(row.output), usage_of(row))


def spend(session: Session, cost: Cost) -> None:
    """Add a cost to the sum, in the transaction that commits a try and before the try is written."""
    total = (_spent(session) + cost).model_dump_json()
    row = session.get(SpentRow, 1)
    if row is None:
        session.add(SpentRow(id=1, cost=total))
    else:
        row.cost = total


def _spent(session: Session) -> Cost:
    """The stored sum; in an older workspace without one, the sum over all stages."""
    row = session.get(SpentRow, 1)
    if row is not None:
        return Cost.model_validate_json(row.cost)
    return sum(map(cost_of_try, _every_try(session)), Cost())


def _every_try(session: Session) -> Iterable[StageRow]:
    return session.exec(select(StageRow).order_by(col(StageRow.id)).execution_options(yield_per=200))


def _with_tokens(output: str | None) -> dict[str, Any]:
    """The output, if it can hold tokens; the longest outputs hold none and are not parsed."""
    return json.loads(output) if output and '"tokens"' in output else {}
