"""`audit verify` and `audit log`, as they are called."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path

import audited
import pytest
import tampering
from builders import make_decision
from typer.testing import CliRunner, Result

from autosurgeon.audit.checkpoints import checkpoint_files
from autosurgeon.cli.main import app
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError
from autosurgeon.store.sqlstore import SqlStore


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, arguments)], catch_exceptions=True)


def refused(done: Result) -> str:
    assert isinstance(done.exception, UserError)
    assert done.exception.exit_code == 2
    return str(done.exception)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return audited.build(tmp_path / "w", passes=2)


def test_a_whole_chain_ends_with_0(workspace: Workspace) -> None:
    done = command("verify", "-w", workspace.root)
    assert (done.exit_code, done.stdout.split(",")[0]) == (0, f"whole: {len(audited.rows_of(workspace))} entries")


def test_a_bad_entry_ends_with_1_and_says_where_what_got_wanted_and_what_next(workspace: Workspace) -> None:
    rows, _ = tampering.edit(audited.rows_of(workspace), 5, random.Random(1))
    audited.write_rows(workspace, rows, log_too=True)
    done = command("verify", "-w", workspace.root)
    assert done.exit_code == 15
    lines = done.stdout.splitlines()
    assert lines[0].startswith("chain, entry 5 (pass-0001-proposal): an entry")
    assert lines[1].startswith("  got ") and "; wanted " in lines[1]
    assert lines[2].startswith("  next: ")
    assert lines[-1].startswith("not whole: the first fault is at entry 5")
    content = json.loads(command("verify", "-w", workspace.root, "--json").stdout)
    assert (content["whole"], content["first"]["seq"]) == (False, 5)


def test_a_checkpoint_from_elsewhere_is_held_against_it(workspace: Workspace, tmp_path: Path) -> None:
    newest = checkpoint_files(workspace.checkpoints)[-1]
    assert command("verify", "-w", workspace.root, "--against", newest).exit_code == 0
    assert "cannot be read" in refused(command("verify", "-w", workspace.root, "--against", tmp_path / "none"))
    assert "no workspace here" in refused(command("verify", "-w", tmp_path / "nowhere"))


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    store = SqlStore(Workspace(tmp_path).database, create=True)
    for day, loss in enumerate((0.5, -1.0, 0.25), start=1):
        at = f"2030-01-0{day}T12:00:00.000000+00:00"
        store.decide(make_decision(f"d-{day}", evidence={"training.loss": loss}, at=at, reason="=1+1"))
    store.close()
    return tmp_path


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ([], ["d-1", "d-2", "d-3"]),
        (["--rule", "loss"], ["d-2"]),
        (["--rule", "another"], []),
        (["--verdict", "ACCEPT"], ["d-1", "d-3"]),
        (["--since", "2030-01-02"], ["d-2", "d-3"]),
        (["--until", "2030-01-02"], ["d-1"]),
        (["--since", "2030-01-02", "--until", "2030-01-03", "--verdict", "INVALID"], ["d-2"]),
    ],
)
def test_the_log_is_filtered(judged: Path, options: list[str], kept: list[str]) -> None:
    found = json.loads(command("log", "-w", judged, "--json", *options).stdout)
    assert [decision["decision_id"] for decision in found] == kept
    rows = list(csv.DictReader(io.StringIO(command("log", "-w", judged, "--csv", *options).stdout)))
    assert [row["decision"] for row in rows] == kept
    assert all(row["reason"] == "'=1+1" for row in rows)


def test_wrong_filters_are_named(judged: Path) -> None:
    assert "not a time" in refused(command("log", "-w", judged, "--since", "yesterday"))
    assert "no such verdict" in refused(command("log", "-w", judged, "--verdict", "MAYBE"))
    assert "--json and --csv" in refused(command("log", "-w", judged, "--json", "--csv"))
