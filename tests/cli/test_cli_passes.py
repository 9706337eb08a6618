"""`pass list` shows a page, and says where the others are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import make_contract, make_recipe
from typer.testing import CliRunner

from autosurgeon.cli.main import app
from autosurgeon.core.workspace import Workspace
from autosurgeon.store.sqlstore import SqlStore


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    store = SqlStore(Workspace(tmp_path).database, create=True)
    for _ in range(35):
        store.begin_pass(make_recipe(), "parent", "live", make_contract())
    store.close()
    return tmp_path


def listed(workspace: Path, *options: str) -> list[int]:
    done = CliRunner().invoke(app, ["pass", "list", "-w", str(workspace), "--json", *options])
    assert done.exit_code == 0
    return [record["number"] for record in json.loads(done.stdout)]


def test_the_newest_passes_are_listed_the_very_newest_last(workspace: Path) -> None:
    assert listed(workspace) == list(range(6, 36))
    assert listed(workspace, "--last", "2") == [34, 35]


def test_the_pages_together_are_every_pass(workspace: Path) -> None:
    page, found = listed(workspace, "--last", "10"), list[int]()
    while page:
        found = page + found
        page = listed(workspace, "--last", "10", "--before", str(page[0]))
    assert found == list(range(1, 36)) == listed(workspace, "--all")


def test_a_page_says_how_to_turn_it_and_the_whole_says_nothing(workspace: Path) -> None:
    told = {
        options: " ".join(CliRunner().invoke(app, ["pass", "list", "-w", str(workspace), *options]).stdout.split())
        for options in ((), ("--all",), ("--before", "3"))
    }
    assert "passes 6 to 35 of 35; `--before 6` shows earlier ones, `--all` every one" in told[()]
    assert "of 35" not in told[("--all",)]
    assert told[("--before", "3")].endswith("passes 1 to 2 of 35")
