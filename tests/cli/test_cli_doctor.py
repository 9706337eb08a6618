"""What `doctor` says of how capsules are ended on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autosurgeon.cli.main import app
from autosurgeon.runner.cgroup import make_cgroup, own_cgroup, remove_cgroup


def said_of_the_end(workspace: Path) -> str:
    done = CliRunner().invoke(app, ["doctor", "--json", "--workspace", str(workspace)], catch_exceptions=False)
    (finding,) = [one for one in json.loads(done.output) if one["check"] == "capsules' end"]
    assert finding["ok"]
    return str(finding["found"])


def test_doctor_says_where_capsules_have_cgroups(tmp_path: Path) -> None:
    group = make_cgroup(own_cgroup())
    if group is None:
        pytest.skip("no cgroup v2 that this process may divide")
    remove_cgroup(group)
    assert f"below {own_cgroup()}, and is killed as a whole" in said_of_the_end(tmp_path)
    assert not list(group.parent.glob(f"{group.name.rsplit('-', 1)[0]}-*"))


def test_doctor_says_what_may_outlive_a_capsule_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosurgeon.runner.cgroup.own_cgroup", lambda: tmp_path)
    assert "no cgroup v2 that may be divided" in said_of_the_end(tmp_path)
