"""Deployments to the runtime, as events of the chain; the newest one names the pack that it serves."""

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
    """The part of the store that holds deployments."""

    _engine: Engine

    def note_deployment(self, deployment: Deployment) -> None:
        """Record that a deployment begins or has ended."""
        kind = ENDED if deployment.ended else BEGUN
        with transaction(self._engine) as session:
            append(session, utc_now(), kind, deployment.pack, deployment.model_dump(mode="json"))

    def last_deployment(self) -> tuple[Deployment, str] | None:
        """The newest deployment, ended or not, with its time; None where there is none."""
        query = (
            select(EventRow.payload, EventRow.at)
            .where(col(EventRow.kind).in_((BEGUN, ENDED)))
            .order_by(col(EventRow.seq).desc())
            .limit(1)
        )
        with snapshot(self._engine) as session:
            last = session.exec(query).first()
            return None if last is None else (Deployment.model_validate(json.loads(last[0])), last[1])
