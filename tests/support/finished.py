"""Small finished workspaces, and what a person may lose of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from databases import Place, run_sql
from fakes import ScriptedCapsules
from theatre import learns_once, small_theatre

from autosurgeon.audit.verify import verify
from autosurgeon.core.person import Person, PersonAct
from autosurgeon.core.workspace import Workspace
from autosurgeon.loop.memory.restore_memory import Report, restore
from autosurgeon.loop.memory.traces import open_memory
from autosurgeon.loop.run_passes import run


def finish(root: Path, passes: int = 2) -> Workspace:
    """A workspace after a run, live at version 2."""
    with small_theatre(root, learns_once, passes=passes) as ins:
        assert run(ins) == "passes"
        return ins.workspace


def copy_of(workspace: Workspace, root: Path) -> Workspace:
    """The same workspace elsewhere."""
    shutil.copytree(workspace.root, root)
    return Workspace(root)


def lose_database(workspace: Workspace) -> None:
    """Remove the file with what SQLite keeps beside it."""
    for file in workspace.database.parent.glob(f"{workspace.database.name}*"):
        file.unlink()


def put_back_database(workspace: Workspace, copy: Path) -> None:
    """Put another file in its place."""
    lose_database(workspace)
    shutil.copyfile(copy, workspace.database)


def cut_last_lines(path: Path, count: int) -> None:
    """Take the last lines off a log."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-count]))


def damage_database(workspace: Workspace, at: float) -> None:
    """Overwrite a page of the file."""
    raw = bytearray(workspace.database.read_bytes())
    page = 4096 * int(len(raw) / 4096 * at)
    raw[page : page + 4096] = b"\x5a" * 4096
    workspace.database.write_bytes(raw)


TABLES = (
    "anchor_run",
    "begun",
    "confirmation",
    "live",
    "look",
    "pack",
    "pass",
    "policy",
    "quarantine",
    "run",
    "spent",
    "taught",
)
"""Tables that the chain proves row by row."""


def proven(place: Place) -> dict[str, Any]:
    """What the chain proves of a memory: whole tables, and of stages all but long outputs, of decisions the content."""
    found: dict[str, Any] = {name: sorted(map(str, run_sql(place, f'SELECT * FROM "{name}"'))) for name in TABLES}
    columns = "id, scope, name, attempt, error, seconds, at, effect_id, usage"
    found["stage"] = run_sql(place, f"SELECT {columns} FROM stage ORDER BY id")
    rows = run_sql(place, "SELECT seq, decision_id, phase, verdict, action, at, record FROM decision ORDER BY seq")
    found["decision"] = [(*row[:-1], json.loads(row[-1])) for row in rows]
    return found


def chain_of(place: Place, last: int) -> list[tuple[Any, ...]]:
    """The entries up to a number."""
    return run_sql(place, f"SELECT * FROM event WHERE seq <= {last} ORDER BY seq")


ACT = PersonAct(act="restore", who=Person(uid=1, login="ann"), at="2030-01-01T00:00:00.000000+00:00", reason="lost")


def finish_twice(root: Path) -> Workspace:
    """A workspace after two runs, with the memory as it was between them in `early.db`."""
    workspace = finish(root)
    shutil.copyfile(workspace.database, workspace.root / "early.db")
    with small_theatre(workspace.root, learns_once, passes=1) as ins:
        assert isinstance(ins.capsules, ScriptedCapsules)
        ins.capsules.trained = len(ins.store.passes())  # the capsules begin anew, and later trainings fail an old win
        ins.store.quarantine("b/gate-0", "flaky", Person(login="ann"), "2031-01-01T00:00:00+00:00")
        run(ins)
    return workspace


def restored(workspace: Workspace, where: Path | str | None = None, **options: Any) -> Report:
    """What a restoration of it comes to."""
    return restore(workspace, where or workspace.database, ACT, **options)


def is_whole(workspace: Workspace) -> None:
    """The memory is accepted, and verifies."""
    with open_memory(workspace, workspace.database, create=True, writes=True) as store:
        assert verify(workspace, store).whole, verify(workspace, store).findings


def goes_on(workspace: Workspace, version: int = 2) -> None:
    """A run goes on from the memory, without a lower live version, and measures what base and live lack."""
    is_whole(workspace)
    with small_theatre(workspace.root, learns_once, passes=1) as ins:
        assert run(ins) == "passes"
        live, base = ins.store.live(), ins.store.base_pack()
        assert live is not None
        assert base is not None
        assert live.version >= version
        assert json.loads(workspace.live_file.read_bytes())["version"] == live.version
        for pack in (base, live.pack):
            assert ins.store.envelopes(pack).keys() == ins.tasks.keys()
        assert verify(workspace, ins.store).whole, verify(workspace, ins.store).findings
