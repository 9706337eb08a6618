"""The loop on a PostgreSQL database: what it decides is what it decides on SQLite."""

from __future__ import annotations

from pathlib import Path

from theatre import learns_everything, small_theatre

from autosurgeon.loop.run_passes import run
from autosurgeon.workspace_status import read_status


def test_a_pass_ends_as_it_does_on_sqlite(tmp_path: Path, url: str) -> None:
    ends = []
    for name, database in (("sqlite", None), ("postgresql", url)):
        with small_theatre(tmp_path / name, learns_everything, store={"url": database}) as ins:
            assert run(ins) == "passes"
            decisions = [(d.decision_id, d.action, d.reason, d.live_version, d.pack) for d in ins.store.decisions()]
            states = [(p.number, p.state, p.reason, p.recipe, p.feedback) for p in ins.store.passes()]
            ends.append((decisions, states, ins.store.looks(), ins.store.ever_rows(), read_status(ins.store).keys()))
    assert ends[0] == ends[1]
    assert not (tmp_path / "postgresql" / "data" / "autosurgeon.db").exists()
