"""`autosurgeon simulate`, as it is called, on a bench of a few tasks."""

from __future__ import annotations

import json
from pathlib import Path

import program
import pytest
from builders import make_task

from autosurgeon.config import shipped
from autosurgeon.core.task import Split

BD62 = shipped("policies", "bd62.yaml")

ASKED = ("--flaky", 0.1, "-m", 2, "-n", 1, "--seed", 4)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of nothing but settings."""
    home = tmp_path_factory.mktemp("home")
    tasks = [
        make_task(
            f"b/{number}",
            split=list(Split)[number % 4],
            prompt=f"# {number}\n",
            reference=f"def solve(x):\n    return x + {number} - {number}\n",
        )
        for number in range(48)
    ]
    (home / "b.jsonl").write_text("".join(task.model_dump_json() + "\n" for task in tasks))
    (home / "autosurgeon.toml").write_text('[benches.b]\ntasks = "b.jsonl"\nformat = "native"\n')
    return home


def test_campaigns_are_told_in_a_table_and_the_same_ones_in_json_from_other_processes(
    home: Path, tmp_path: Path
) -> None:
    before = sorted(home.rglob("*.db"))
    table = program.autosurgeon("simulate", "-w", home, *ASKED, "--workers", 1, "--plot", tmp_path / "plot.png")
    assert table.returncode == 0, table.stderr
    heads, row, rate = table.stdout.splitlines()
    assert heads.split("\t")[:4] == ["policy", "accepted", "false", "wins lost"]
    assert row.split("\t")[0] == "bd62"
    assert rate.startswith("2 passes in ")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads(program.autosurgeon("simulate", "-w", home, *ASKED, "--workers", 2, "--json").stdout)
    (policy,) = told["policies"]
    assert [campaign["seed"] for campaign in policy["campaigns"]] == [4, 5]
    assert [len(campaign["wins"]) for campaign in policy["campaigns"]] == [2, 2]
    accepted = sum(campaign["accepted"] for campaign in policy["campaigns"]) / 2
    assert row.split("\t")[1] == f"{accepted:.2f}"
    assert sorted(home.rglob("*.db")) == before == []


def test_a_policy_that_would_let_anything_through_is_shut_by_its_self_test_and_told_so(
    home: Path, tmp_path: Path
) -> None:
    loose = tmp_path / "loose.yaml"
    rules = (
        "".join(f"  - {{id: {rule}, disabled: true}}\n" for rule in LOOSE) + "  - {id: canary-holds, at_least: -99}\n"
    )
    loose.write_text(f"schema: autosurgeon.policy/1\nname: loose\ninclude: [{BD62}]\nrules:\n{rules}")
    asked = ("-w", home, "--workers", 1, "-m", 1, "-n", 2, "--policy", loose, "--policy", BD62)
    done = program.autosurgeon("simulate", *asked, "--plot", tmp_path / "plot.png")
    assert done.returncode == 0, done.stderr
    assert "loose: 1 of 1 campaigns ended early: the gate failed its self-test" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("3 passes in ")


LOOSE = [
    "anchor-wins-kept",
    "no-anchor-lost",
    "live-anchors-hold",
    "fair-exchange",
    "no-bench-worse",
    "real-gain",
    "no-bench-under-base",
    "gate-not-worse-by-chance",
    "losing-beyond-doubt",
    "gain-is-no-luck",
]


def test_what_cannot_be_simulated_ends_with_2_and_a_line(home: Path, tmp_path: Path) -> None:
    nothing = program.autosurgeon("simulate", "--fed-by", tmp_path)
    assert (nothing.returncode, "there is no workspace here" in nothing.stderr) == (2, True)
    unknown = program.autosurgeon("simulate", "-w", home, "-m", 3, "--workers", 2, "--policy", tmp_path / "none.yaml")
    assert (unknown.returncode, unknown.stderr.startswith("error: ")) == (2, True)
    assert program.autosurgeon("simulate", "--fed-by", home, "--policy", "a", "--policy", "b").returncode == 2
    assert program.autosurgeon("simulate", "--flaky", 2).returncode == 2
