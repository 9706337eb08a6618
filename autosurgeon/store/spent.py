"""What all stages of a workspace took together: a sum that is kept, since nobody wants to read a million of them."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from autosurgeon.core.decision import Cost
from autosurgeon.core.usage import Usage
from autosurgeon.store.database import snapshot
from autosurgeon.store.tables import SpentRow, StageRow


class Spent:
    """The part of the store that knows what the stages cost."""

    _engine: Engine

    def spent(self) -> Cost:
        """What all stages took, those that failed too; a number counts what is known of it."""
        with snapshot(self._engine) as session:
            return _spent(session)


def usage_of(row: StageRow) -> Usage | None:
    """What a try used; None for one from before that was kept."""
    return None if row.usage is None else Usage.model_validate_json(row.usage)


def spend(session: Session, cost: Cost) -> None:
    """Add to the sum, in the transaction that commits a try and before the try is written."""
    total = (_spent(session) + cost).model_dump_json()
    row = session.get(SpentRow, 1)
    if row is None:
        session.add(SpentRow(id=1, cost=total))
    else:
        row.cost = total


def _spent(session: Session) -> Cost:
    """The sum that is kept; in a workspace from before there was one, every stage once."""
    row = session.get(SpentRow, 1)
    if row is not None:
        return Cost.model_validate_json(row.cost)
    stages = session.exec(select(StageRow).order_by(col(StageRow.id)).execution_options(yield_per=200))
    return sum((Cost.of(stage.seconds, _with_tokens(stage.output), usage_of(stage)) for stage in stages), Cost())


def _with_tokens(output: str | None) -> dict[str, Any]:
    """An output that holds tokens; the longest hold none, and are not read."""
    return json.loads(output) if output and '"tokens"' in output else {}
