"""A workspace works whatever characters its path holds: a URI, a pattern, a shell and a format read some of them."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from program import autosurgeon
from workspaces import PASSES, finish_workspace

from autosurgeon.audit.checkpoints import checkpoint_files
from autosurgeon.core.workspace import Workspace

ODD = "a#b?c%41d%s {e} [f]*;g'h\"i:é&$HOME\\j\nk"
COMMANDS = [
    "status",
    "pass show 1",
    "pack verify",
    "anchors list",
    "audit log",
    "audit verify",
    "policy explain pass-0001-smoke",
    "report campaign",
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("odd") / ODD
    root.mkdir()
    return finish_workspace(root)


def test_a_night_runs_and_is_signed_in_it(workspace: Path) -> None:
    for command in COMMANDS:
        done = autosurgeon(*command.split(), "--workspace", workspace)
        assert (done.returncode, done.stderr) == (0, ""), command
    assert "whole" in autosurgeon("audit", "verify", "--workspace", workspace).stdout
    assert checkpoint_files(Workspace(workspace).checkpoints)
    assert [path.name for path in workspace.parent.iterdir()] == [ODD]


def test_what_is_written_elsewhere_goes_into_the_file_that_was_named(workspace: Path, tmp_path: Path) -> None:
    out = tmp_path / ODD
    out.mkdir()
    names = {
        f"s{ODD}.db": ["study", "--export", f"sqlite:///{out}/s{ODD}.db"],
        f"j{ODD}.log": ["study", "--export", f"{out}/j{ODD}.log"],
        f"p{ODD}.png": ["study", "--plot", f"{out}/p{ODD}.png"],
        f"r{ODD}.html": ["report", "campaign", "--out", f"{out}/r{ODD}.html"],
    }
    for words in names.values():
        done = autosurgeon(*words, "--workspace", workspace)
        assert (done.returncode, done.stderr) == (0, ""), words
    assert {path.name for path in out.iterdir()} == set(names)
    assert [path.name for path in tmp_path.iterdir()] == [ODD]
    with contextlib.closing(sqlite3.connect(out / f"s{ODD}.db")) as storage:
        assert storage.execute("SELECT count(*) FROM trials").fetchone() == (PASSES,)
    exported = autosurgeon("audit", "export", "--out", out / "statements", "--workspace", workspace)
    assert (exported.returncode, exported.stderr) == (0, "")
    assert (out / "statements" / "public.json").is_file()
