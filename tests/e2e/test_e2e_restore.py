"""The lab's own night, and the morning after its database is gone: refused, restored, and continued."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import program
import pytest


def read(*arguments: object) -> Any:
    """What a command prints as JSON."""
    done = program.autosurgeon(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_lost_database_of_the_lab_is_restored_and_the_run_goes_on(tmp_path: Path) -> None:
    workspace = tmp_path / "night"
    assert program.autosurgeon("run", "--passes", 1, "--seed", 7, "-w", workspace).returncode == 0
    before, passes = read("status", "-w", workspace), read("pass", "list", "-w", workspace)
    assert program.autosurgeon("backup", tmp_path / "night.tar", "--packs", "-w", workspace).returncode == 0
    for file in (workspace / "data").glob("autosurgeon.db*"):
        file.unlink()
    refused = program.autosurgeon("run", "--passes", 1, "-w", workspace)
    assert (refused.returncode, "autosurgeon restore" in refused.stderr) == (2, True)
    found = read("restore", "-w", workspace)
    assert found["restored"]
    assert read("pass", "list", "-w", workspace) == passes
    assert read("status", "-w", workspace)["live"] == before["live"]
    assert program.autosurgeon("run", "--passes", 1, "-w", workspace).returncode == 0
    after = read("status", "-w", workspace)
    assert after["live"]["version"] >= before["live"]["version"]
    assert after["wins"]["base"] == before["wins"]["base"]
    assert program.autosurgeon("audit", "verify", "-w", workspace).returncode == 0
    assert program.autosurgeon("restore", "--from", tmp_path / "night.tar", "-w", tmp_path / "new").returncode == 0
    assert read("status", "-w", tmp_path / "new")["wins"] == before["wins"]
