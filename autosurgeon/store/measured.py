"""What was measured: results, confirmations, how anchors fared, and the packs that they are of."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlmodel import col, select

from autosurgeon.core.envelope import Envelope
from autosurgeon.core.pack import Manifest
from autosurgeon.core.records import AnchorRun
from autosurgeon.errors import UserError
from autosurgeon.store.database import snapshot
from autosurgeon.store.tables import AnchorRunRow, BenchRow, ConfirmationRow, PackRow


class Measured:
    """The part of the store that holds measurements."""

    _engine: Engine

    def envelopes(self, pack: str, occasion: str | None = None) -> dict[str, Envelope]:
        """A pack's results by task id; over all occasions, a task's newest one."""
        query = select(BenchRow).where(BenchRow.pack == pack).order_by(col(BenchRow.id))
        if occasion is not None:
            query = query.where(BenchRow.occasion == occasion)
        with snapshot(self._engine) as session:
            return {row.task_id: Envelope.model_validate_json(row.envelope) for row in session.exec(query)}

    def runs(self, pack: str) -> dict[str, list[Envelope]]:
        """A pack's results by occasion, oldest first."""
        query = select(BenchRow.occasion, BenchRow.envelope).where(BenchRow.pack == pack).order_by(col(BenchRow.id))
        found: dict[str, list[Envelope]] = {}
        with snapshot(self._engine) as session:
            for occasion, envelope in session.exec(query):
                found.setdefault(occasion, []).append(Envelope.model_validate_json(envelope))
        return found

    def passed(self, pack: str) -> dict[str, bool]:
        """Which tasks a pack passed; over all occasions, a task's newest result."""
        query = select(BenchRow.task_id, BenchRow.passed).where(BenchRow.pack == pack).order_by(col(BenchRow.id))
        with snapshot(self._engine) as session:
            return dict(session.exec(query).all())

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

    def find_pack(self, prefix: str) -> str:
        """The one pack whose digest begins so; UserError when there is none, or more than one."""
        found = [manifest.digest for manifest, _, _ in self.packs() if manifest.digest.startswith(prefix)]
        if len(found) != 1:
            got = f"{prefix!r}, which fits {len(found)} packs"
            wanted = "see `autosurgeon pack list`"
            raise UserError("a pack is named by the first digits of its digest", got=got, wanted=wanted)
        return found[0]

    def occasions(self) -> dict[str, dict[str, bool]]:
        """What passed, by occasion and task: one entry a bench that was run, oldest first."""
        query = select(BenchRow.occasion, BenchRow.task_id, BenchRow.passed).order_by(col(BenchRow.id))
        found: dict[str, dict[str, bool]] = {}
        with snapshot(self._engine) as session:
            for occasion, task_id, passed in session.exec(query):
                found.setdefault(occasion, {})[task_id] = passed
        return found

    def anchor_runs(self) -> list[AnchorRun]:
        """How every anchor fared on every occasion, oldest first."""
        with snapshot(self._engine) as session:
            rows = session.exec(select(AnchorRunRow).order_by(col(AnchorRunRow.id)))
            return [AnchorRun(row.occasion, row.task_id, row.tries, row.passed) for row in rows]
