"""`audit log --people`: every act of a person, by whom, when, why and until when, in one list and in the reports."""

from __future__ import annotations

import csv
import io
import json
import os
import pwd
from pathlib import Path

import pytest
from finished import copy_of, finish
from program import autosurgeon

from autosurgeon.core.workspace import Workspace

FAR = "2999-01-01"
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(scope="module")
def acted(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of two passes to which a person did what a person can do without a loop."""
    workspace = finish(tmp_path_factory.mktemp("acted") / "w")
    pack = json.loads(workspace.live_file.read_text())["pack"]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            patch.setenv(name, "mallory")
        patch.delenv("SUDO_UID", raising=False)
        for words in (
            ["override", "2", "--verdict", "accept", "--reason", "a try", "--expires", FAR],
            ["pack", "revert", "--reason", "it is odd"],
            ["pack", "pin", pack, "--reason", "a demo"],
            ["pack", "unpin", pack, "--reason", "the demo is over"],
            ["pack", "gc", "--dry-run"],
            ["pack", "gc", "--reason", "a full disk"],
            ["pause", "--reason", "lunch"],
            ["resume"],
            ["resume"],
            ["audit", "rotate-key", "--reason", "a new year"],
        ):
            done = autosurgeon(*words, "-w", workspace.root)
            assert done.returncode == 0, done.stderr
    return workspace


def people(workspace: Workspace, *more: object) -> str:
    done = autosurgeon("audit", "log", "--people", *more, "-w", workspace.root)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_act_is_listed_with_who_when_why_until_when_and_what_it_concerns(acted: Workspace) -> None:
    acts = json.loads(people(acted, "--json"))
    found = [(act["act"], act["reason"], act["until"] and act["until"][:10]) for act in acts]
    assert found == [
        ("override", "a try", FAR),
        ("revert", "it is odd", None),
        ("pin", "a demo", None),
        ("unpin", "the demo is over", None),
        ("gc", "a full disk", None),
        ("pause", "lunch", None),
        ("resume", "", None),
        ("rotate-key", "a new year", None),
    ]
    assert {(act["who"]["uid"], act["who"]["login"]) for act in acts} == {(os.getuid(), ME)}
    assert [act["entry"] for act in acts] == sorted(act["entry"] for act in acts)
    assert (acts[0]["pass_number"], acts[0]["decision"]) == (2, "pass-0002-smoke-override-1")
    assert acts[1]["pack"] != acts[2]["pack"] == acts[1]["detail"]["from"]
    assert autosurgeon("audit", "verify", "-w", acted.root).returncode == 0


def test_the_list_is_a_table_and_csv_and_is_cut_by_pass_and_time(acted: Workspace) -> None:
    rows = list(csv.reader(io.StringIO(people(acted, "--csv"))))
    assert rows[0] == ["at (UTC)", "entry", "act", "who", "about", "until", "reason"]
    assert rows[1][2:] == ["override", ME, "pass 2, ACCEPT", f"{FAR}T00:00:00", "a try"]
    assert len(rows) == 9
    assert "\toverride\t" in people(acted)
    assert [act["act"] for act in json.loads(people(acted, "--json", "--pass", 2))] == ["override"]
    assert json.loads(people(acted, "--json", "--since", FAR)) == []
    assert len(json.loads(people(acted, "--json", "--until", FAR))) == 8


@pytest.mark.parametrize("more", [["--verdict", "ACCEPT"], ["--rule", "x"], ["--csv", "--json"], ["--pass", "99"]])
def test_what_the_list_does_not_have_is_refused_in_a_line(acted: Workspace, more: list[str]) -> None:
    done = autosurgeon("audit", "log", "--people", *more, "-w", acted.root)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("form", [[], ["--out"]])
def test_the_reports_list_the_acts_that_concern_them(acted: Workspace, tmp_path: Path, form: list[str]) -> None:
    def page(what: str) -> str:
        out = tmp_path / f"{what}.html"
        done = autosurgeon("report", what, *(["--out", out] if form else []), "-w", acted.root)
        assert done.returncode == 0, done.stderr
        return out.read_text() if form else done.stdout

    first, second, campaign = page("1"), page("2"), page("campaign")
    assert "Acts of people" in first
    assert "it is odd" in first and "a demo" in first  # by the pack that it made
    assert "a try" not in first
    assert "a try" in second and ME in second
    for reason in ("a try", "it is odd", "a demo", "the demo is over", "a full disk", "lunch", "a new year"):
        assert reason in campaign


def test_masking_covers_the_names_of_people(acted: Workspace, tmp_path: Path) -> None:
    workspace = copy_of(acted, tmp_path / "w")
    (workspace.root / "autosurgeon.toml").write_text('[audit]\nmask = ["paths"]\n')
    text = people(workspace, "--json")
    acts = json.loads(text)
    assert all(act["who"]["login"].startswith("[masked user ") and act["who"]["uid"] is None for act in acts)
    assert acts[0]["masked"][0]["kind"] == "user"
    assert f"\t{ME}\t" not in people(workspace)
    page = autosurgeon("report", "campaign", "-w", workspace.root).stdout
    assert f"| {ME} |" not in page
    assert "masked user" in page


def test_a_key_that_its_predecessor_did_not_sign_is_stated_in_the_list_and_in_the_reports(
    acted: Workspace, tmp_path: Path
) -> None:
    workspace = copy_of(acted, tmp_path / "w")
    (workspace.keys / "private.pem").unlink()
    done = autosurgeon("audit", "rotate-key", "--lost", "--reason", "the disk died", "-w", workspace.root)
    assert done.returncode == 0, done.stderr
    line = "which the previous key did not sign"
    assert line in people(workspace)
    assert line in json.loads(people(workspace, "--json"))[-1]["unvouched"]
    for what in ("1", "campaign"):
        assert line in autosurgeon("report", what, "-w", workspace.root).stdout
