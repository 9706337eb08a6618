"""Measurements: results, confirmations and runs of anchors; and packs with their exports."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable

from sqlalchemy import Engine, Integer, bindparam
from sqlmodel import col, select

from autosurgeon.core.envelope import Envelope
from autosurgeon.core.pack import Export, Manifest
from autosurgeon.core.records import AnchorRun
from autosurgeon.errors import UserError
from autosurgeon.store.database import snapshot, transaction, utc_now
from autosurgeon.store.events import append
from autosurgeon.store.tables import AnchorRunRow, BenchRow, ConfirmationRow, EventRow, PackRow

EXPORTED = "pack-exported"
"""The kind of the event."""
# One object, since SQLAlchemy caches the preparation of the same statement object.
_NEWEST_RUNS = (
    select(AnchorRunRow.occasion, AnchorRunRow.task_id, AnchorRunRow.tries, AnchorRunRow.passed)
    .where(AnchorRunRow.task_id == bindparam("task"))
    .order_by(col(AnchorRunRow.id).desc())
    .limit(bindparam("count", type_=Integer()))
)


@functools.lru_cache(maxsize=1 << 12)
def _envelope(content: str) -> Envelope:
    """An envelope from its row; cached, since a pass reads the results of base and live repeatedly."""
    return Envelope.model_validate_json(content)


class Measured:
    """The part of the store that holds measurements."""

    _engine: Engine

    def envelopes(self, pack: str, occasion: str | None = None) -> dict[str, Envelope]:
        """A pack's results by task id; over all occasions, the newest result of each task."""
        query = select(BenchRow.task_id, BenchRow.envelope).where(BenchRow.pack == pack).order_by(col(BenchRow.id))
        if occasion is not None:
            query = query.where(BenchRow.occasion == occasion)
        with snapshot(self._engine) as session:
            return {task_id: _envelope(content) for task_id, content in session.exec(query)}

    def runs(self, pack: str) -> dict[str, list[Envelope]]:
        """A pack's results by occasion, oldest first."""
        query = select(BenchRow.occasion, BenchRow.envelope).where(BenchRow.pack == pack).order_by(col(BenchRow.id))
        found: dict[str, list[Envelope]] = {}
        with snapshot(self._engine) as session:
            for occasion, envelope in session.exec(query):
                found.setdefault(occasion, []).append(Envelope.model_validate_json(envelope))
        return found

    def passed(self, pack: str) -> dict[str, bool]:
        """Whether a pack passed each task; over all occasions, by the newest result."""
        query = select(BenchRow.task_id, BenchRow.passed).where(BenchRow.pack == pack).order_by(col(BenchRow.id))
        with snapshot(self._engine) as session:
            return dict(session.exec(query).all())

    def passed_by(self, packs: Collection[str]) -> dict[str, dict[str, bool]]:
        """The result of `passed` for several packs."""
        query = select(BenchRow.pack, BenchRow.task_id, BenchRow.passed).where(col(BenchRow.pack).in_(packs))
        found: dict[str, dict[str, bool]] = {pack: {} for pack in packs}
        with snapshot(self._engine) as session:
            for pack, task_id, passed in session.exec(query.order_by(col(BenchRow.id))):
                found[pack][task_id] = passed
        return found

    def confirmations(self, pack: str) -> dict[str, tuple[int, int]]:
        """(samples, passed) of a pack's sampled wins."""
        with snapshot(self._engine) as session:
            rows = session.exec(select(ConfirmationRow).where(ConfirmationRow.pack == pack))
            return {row.task_id: (row.samples, row.passed) for row in rows}

    def packs(self) -> list[tuple[Manifest, int | None, str]]:
        """(manifest, pass number, when) of every pack, oldest first."""
        with snapshot(self._engine) as session:
            rows = session.exec(select(PackRow).order_by(col(PackRow.at)))
            return [(Manifest.model_validate_json(row.manifest), row.pass_number, row.at) for row in rows]

    def origin_of(self, digest: str) -> tuple[str | None, int | None]:
        """(parent, pass that made it) of a pack; None for a base or an unknown pack."""
        with snapshot(self._engine) as session:
            row = session.get(PackRow, digest)
            return (None, None) if row is None else (row.parent, row.pass_number)

    def find_pack(self, prefix: str) -> str:
        """The one pack whose digest has a prefix; UserError when there is none, or more than one."""
        query = select(PackRow.digest).where(col(PackRow.digest).startswith(prefix, autoescape=True))
        with snapshot(self._engine) as session:
            # SQLite's LIKE ignores case.
            found = [digest for digest in session.exec(query) if digest.startswith(prefix)]
        if len(found) != 1:
            got = f"{prefix!r}, which fits {len(found)} packs"
            wanted = "see `autosurgeon pack list`"
            raise UserError("a pack is named by the first digits of its digest", got=got, wanted=wanted)
        return found[0]

    def record_export(self, pack: str, export: Export) -> None:
        """Record the export of a pack, or its attempt, as an event of the chain."""
        with transaction(self._engine) as session:
            append(session, utc_now(), EXPORTED, pack, export.model_dump(mode="json"))

    def exports(self, pack: str) -> list[tuple[Export, str]]:
        """(export, when) of every export of a pack, oldest first."""
        query = select(EventRow.payload, EventRow.at).where(EventRow.kind == EXPORTED, EventRow.subject == pack)
        with snapshot(self._engine) as session:
            rows = session.exec(query.order_by(col(EventRow.seq)))
            return [(Export.model_validate_json(payload), at) for payload, at in rows]

    def occasions(self) -> dict[str, dict[str, bool]]:
        """Whether each task passed, by occasion, oldest first."""
        query = select(BenchRow.occasion, BenchRow.task_id, BenchRow.passed).order_by(col(BenchRow.id))
        found: dict[str, dict[str, bool]] = {}
        with snapshot(self._engine) as session:
            for occasion, task_id, passed in session.exec(query):
                found.setdefault(occasion, {})[task_id] = passed
        return found

    def anchor_runs(self) -> list[AnchorRun]:
        """The result of every anchor on every occasion, oldest first."""
        with snapshot(self._engine) as session:
            rows = session.exec(select(AnchorRunRow).order_by(col(AnchorRunRow.id)))
            return [AnchorRun(row.occasion, row.task_id, row.tries, row.passed) for row in rows]

    def last_anchor_runs(self, tasks: Iterable[str], count: int) -> dict[str, list[AnchorRun]]:
        """The newest `count` results of some tasks as anchors, oldest first; tasks without a run are left out."""
        found: dict[str, list[AnchorRun]] = {}
        with snapshot(self._engine) as session:
            connection = session.connection()
            for task_id in tasks:
                rows = connection.execute(_NEWEST_RUNS, {"task": task_id, "count": count}).all()
                if rows:
                    found[task_id] = [AnchorRun(*row) for row in reversed(rows)]
        return found
