"""The new memory takes the old one's place whole: after a death at any step, and on PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from finished import copy_of, finish, finish_twice, is_whole, lose_database, proven, put_back_database, restored
from theatre import learns_once, small_theatre

from autosurgeon.audit.verify import verify
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import WorkspaceError
from autosurgeon.loop.memory import move_aside, restore_memory
from autosurgeon.loop.memory.traces import open_memory
from autosurgeon.loop.run_passes import run
from autosurgeon.store.copy_memory import replace_memory


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return finish_twice(tmp_path_factory.mktemp("finished") / "w")


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    return copy_of(finished, tmp_path / "w")


STEPS = [
    (restore_memory, "_build", "before"),
    (restore_memory, "put_in_place", "before"),
    (move_aside, "_keep", "before"),
    (move_aside, "_keep", "after"),
    (move_aside, "move", "before"),
    (move_aside, "move", "after"),
    (restore_memory, "write_logs", "before"),
    (restore_memory, "write_live", "before"),
]


def restore_until_killed(workspace: Workspace, module: Any, step: str, when: str) -> None:
    """Restore in a process of its own, which a SIGKILL ends before or after a step."""
    really = getattr(module, step)

    def die(*arguments: Any, **named: Any) -> None:
        if when == "after":
            really(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    process = os.fork()
    if process == 0:
        try:
            setattr(module, step, die)
            restored(workspace)
        finally:
            os._exit(1)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status), "the step was never reached"
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize(("module", "step", "when"), STEPS)
def test_a_kill_at_any_step_leaves_the_old_memory_or_the_new(
    finished: Workspace, workspace: Workspace, module: Any, step: str, when: str
) -> None:
    put_back_database(workspace, workspace.root / "early.db")
    restore_until_killed(workspace, module, step, when)
    with contextlib.closing(sqlite3.connect(workspace.database)) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone()[0] > 0
    restored(workspace)
    assert proven(workspace.database) == proven(finished.database)
    is_whole(workspace)


def test_postgresql_is_filled_where_it_is_empty_and_replaced_where_it_is_behind(
    finished: Workspace, workspace: Workspace, url: str
) -> None:
    lose_database(workspace)
    found = restored(workspace, url)
    assert found.restored is not None
    assert proven(url)["pass"] == proven(finished.database)["pass"]
    with open_memory(workspace, url, writes=True) as store:
        assert verify(workspace, store).whole, verify(workspace, store).findings
    with small_theatre(workspace.root, learns_once, passes=1, store={"url": url}) as ins:
        assert run(ins) == "passes"
        assert verify(workspace, ins.store).whole
    later = proven(url)
    replace_memory(workspace.root / "early.db", url, lambda done, total: None)
    behind = restored(workspace, url)
    assert "behind" in behind.why
    assert [path.suffix for path in behind.aside] == [".db"]
    assert proven(url)["pass"] == later["pass"]
    with open_memory(workspace, url, writes=True) as store:
        assert verify(workspace, store).whole, verify(workspace, store).findings


def test_a_postgresql_database_of_another_workspace_is_never_replaced(
    workspace: Workspace, tmp_path: Path, url: str
) -> None:
    other = finish(tmp_path / "other")
    replace_memory(other.database, url, lambda done, total: None)
    before = proven(url)
    with pytest.raises(WorkspaceError, match="holds another memory, and is not replaced"):
        restored(workspace, url)
    assert proven(url) == before
