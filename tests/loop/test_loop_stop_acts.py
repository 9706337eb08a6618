"""A stop that no command records is recorded by the run: of a file with its owner, of a signal without a name."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from theatre import learns_everything, small_theatre

from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.person import Person, person_of
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.loop.engine.stop_requests import ask
from autosurgeon.loop.run_passes import run
from autosurgeon.store.lock import myself


@pytest.mark.parametrize("how", ["command", "file"])
def test_a_stop_by_a_file_is_recorded_with_the_files_owner(tmp_path: Path, how: str) -> None:
    place = Workspace(tmp_path)

    def stop(job: Value) -> None:
        if isinstance(job, TrainJob) and how == "command":
            ask(place, "stop", "mia", myself())  # what the command writes; it records its person itself
        elif isinstance(job, TrainJob):
            place.stop_file.touch()

    with small_theatre(tmp_path, learns_everything, before=stop) as ins:
        assert run(ins) == "stopped"
        acts = [(entry.act.act, entry.act.who, entry.act.concerns) for entry in ins.store.acts()]
    owner = [("stop", person_of(place.stop_file.stat().st_uid), "asked by the file STOP")] if how == "file" else []
    assert acts == owner


@pytest.mark.parametrize("signals", [1, 2])
def test_a_stop_by_a_signal_is_recorded_without_a_name_beside_the_end_of_the_run(tmp_path: Path, signals: int) -> None:
    def interrupt(job: Value) -> None:
        if isinstance(job, TrainJob):
            ins.brakes.request_stop("interrupted (SIGINT)", Person())
            if signals == 2:
                raise KeyboardInterrupt

    with small_theatre(tmp_path, learns_everything, before=interrupt) as ins:
        with contextlib.suppress(KeyboardInterrupt):
            run(ins)
        (entry,) = ins.store.acts()
        assert (entry.act.act, entry.act.who, entry.act.concerns) == ("stop", Person(), "interrupted (SIGINT)")
        kinds = [event.kind for event in ins.store.each_event()]
        assert kinds[kinds.index("person") + 1] == "run-ended"
