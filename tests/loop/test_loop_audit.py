"""What the loop leaves for those who check afterwards."""

from __future__ import annotations

from pathlib import Path

from fakes import RecordingReporter
from theatre import learns_everything, small_theatre

from autosurgeon.audit.verify import verify
from autosurgeon.loop.run_passes import run


def test_a_run_leaves_a_whole_chain_whose_checkpoints_are_copied(tmp_path: Path) -> None:
    copies = tmp_path / "elsewhere"
    with small_theatre(tmp_path / "w", learns_everything, audit={"checkpoint_copy": copies}) as ins:
        run(ins)
        found = verify(ins.workspace, ins.store, sorted(copies.glob("0*.json"))[0])
        kinds = {event.kind for event in ins.store.each_event()}
        signed = {path.name for path in ins.workspace.checkpoints.iterdir()}
    assert found.whole, found.findings
    stages = {"stage-begun", "stage"}
    assert kinds == stages | {
        "run-begun",
        "run-ended",
        "pass-begun",
        "pass-moved",
        "decision",
        "look-paid",
        "policy-kept",
        "rows",
    }
    assert {path.name for path in copies.iterdir()} == {*signed, "public.json"}
    assert max(int(name[:8]) for name in signed) == found.size


def test_a_copy_that_cannot_be_written_is_reported_and_stops_nothing(tmp_path: Path) -> None:
    copies = tmp_path / "elsewhere"
    copies.write_text("a file, where a folder should be")
    with small_theatre(tmp_path / "w", learns_everything, audit={"checkpoint_copy": copies}) as ins:
        assert run(ins) == "passes"
        assert isinstance(ins.reporter, RecordingReporter)
        assert any("could not be copied" in line for line in ins.reporter.lines)
        assert verify(ins.workspace, ins.store).whole
