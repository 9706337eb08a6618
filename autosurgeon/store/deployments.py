"""What the deployed runtime was told: events of the chain, the newest of which says what it serves."""

from __future__ import annotations

import json

from sqlalchemy import Engine
from sqlmodel import col, select

from autosurgeon.core.records import Deployment
from autosurgeon.store.database import snapshot, transaction, utc_now
from autosurgeon.store.events import append
from autosurgeon.store.tables import EventRow

BEGUN, ENDED = "deploy-begun", "deploy"


class Deployed:
    """The part of the store that knows what the runtime was told."""

    _engine: Engine

    def note_deployment(self, deployment: Deployment) -> None:
        """Write down that the runtime is about to be told, or was told, what to serve."""
        kind = ENDED if deployment.ended else BEGUN
        with transaction(self._engine) as session:
            append(session, utc_now(), kind, deployment.pack, deployment.model_dump(mode="json"))

    def last_deployment(self) -> tuple[Deployment, str] | None:
        """What the runtime was last told and when, whether that came to an end or not; None where it never was."""
        query = (
            select(EventRow.payload, EventRow.at)
            .where(col(EventRow.kind).in_((BEGUN, ENDED)))
            .order_by(col(EventRow.seq).desc())
            .limit(1)
        )
        with snapshot(self._engine) as session:
            last = session.exec(query).first()
            return None if last is None else (Deployment.model_validate(json.loads(last[0])), last[1])
