"""Small finished workspaces, and what a person may lose of them."""

from __future__ import annotations

import shutil
from pathlib import Path

from theatre import learns_everything, small_theatre

from autosurgeon.core.workspace import Workspace
from autosurgeon.loop.run_passes import run


def finish(root: Path, passes: int = 2) -> Workspace:
    """A workspace after a run, live at version 2."""
    with small_theatre(root, learns_everything, passes=passes) as ins:
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
