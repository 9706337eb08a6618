"""`policy replay`, `policy simulate` and `audit schema`, as they are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import make_decision, write_log
from jsonschema import Draft202012Validator
from typer.testing import CliRunner, Result

from autosurgeon.cli.main import app
from autosurgeon.config import shipped
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy

INCIDENT = shipped("data", "bd62")
BD62 = shipped("policies", "bd62.yaml")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Three smokes: two without a loss, one with two."""
    policy = load_policy(BD62)
    decisions = [
        make_decision(
            f"pass-{number:04d}-smoke",
            judgement=judge(policy, "smoke", {"smoke.tried": 9, "smoke.lost": lost}),
            at=f"2030-01-0{number}T12:00:00+00:00",
        )
        for number, lost in enumerate((0, 2, 0), start=1)
    ]
    write_log(Workspace(tmp_path).decisions, decisions)
    return tmp_path


@pytest.fixture
def lenient(tmp_path: Path) -> Path:
    path = tmp_path / "lenient.yaml"
    rules = "rules:\n  - {id: anchor-wins-kept, at_most: $most_lost}\n"
    head = f"schema: autosurgeon.policy/1\nname: lenient\ninclude: [{BD62}]\nparams:\n  most_lost: {{default: 2}}\n"
    path.write_text(head + rules)
    return path


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, arguments)], catch_exceptions=True)


def test_the_policy_that_decided_flips_nothing_and_ends_with_0(workspace: Path) -> None:
    done = command("replay", workspace)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (
        0,
        "3 decisions under bd62, 0 flips, 0 cannot be replayed",
    )


def test_a_flip_is_told_and_ends_with_1(workspace: Path, lenient: Path) -> None:
    done = command("replay", workspace, "--policy", lenient)
    assert done.exit_code == 15
    assert "pass-0002-smoke: REJECT -> ACCEPT, FLIPPED" in done.stdout
    strict = command("replay", workspace, "--policy", lenient, "--set", "most_lost=-1", "--since", "2030-01-03")
    assert strict.exit_code == 15
    lines = strict.stdout.splitlines()
    assert lines[0] == "pass-0003-smoke: ACCEPT -> REJECT, FLIPPED"
    assert lines[1].strip() == "anchor-wins-kept: smoke.lost is 0, wanted at_most -1"
    assert "lesson: If any confirmed win" in lines[2]
    assert lines[-1].startswith("1 decisions under lenient, 1 flips")


def test_json_is_a_line_a_decision_and_one_for_the_summary(workspace: Path, lenient: Path) -> None:
    lines = [
        json.loads(line) for line in command("replay", workspace, "--policy", lenient, "--json").stdout.splitlines()
    ]
    assert [line["flipped"] for line in lines[:-1]] == [False, True, False]
    assert (lines[-1]["decisions"], lines[-1]["flips"], lines[-1]["policy"]) == (3, 1, "lenient")


def test_the_incident_is_refused_five_times_and_the_kept_pass_accepted_as_far_as_recorded() -> None:
    done = command("replay", INCIDENT)
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0] == "BD6 pass 1 #1 promotion: ACCEPT, as far as recorded"
    assert "BD6.2: refused at proposal, training, smoke, promotion, watch" in lines
    assert "BD6.2 #3 training: ACCEPT, stop" in lines
    assert not any(line.startswith("BD6 pass 1: refused") for line in lines)


def test_a_torn_last_line_is_a_note_and_a_line_that_is_no_decision_is_an_error(workspace: Path) -> None:
    log = Workspace(workspace).decisions
    log.write_bytes(log.read_bytes()[:-5])
    torn = command("replay", workspace)
    assert (torn.exit_code, torn.stdout.splitlines()[-1][:11]) == (0, "2 decisions")
    assert "incomplete" in torn.stderr
    log.write_bytes(b"what?\n" + log.read_bytes())
    broken = command("replay", workspace)
    assert isinstance(broken.exception, UserError)
    assert "got 1, the first on line 1: no JSON" in str(broken.exception)
    assert "2 decisions" in broken.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "nowhere"),
        ("replay", INCIDENT, "--since", "soon"),
        ("replay", INCIDENT, "--set", "x=1"),
        ("simulate", INCIDENT, "--range", "0:1"),
        ("simulate", INCIDENT, "--range", "0:1", "--rule", "a", "--param", "b"),
        ("simulate", INCIDENT, "--range", "1:0", "--rule", "anchor-wins-kept"),
        ("simulate", INCIDENT, "--range", "0:1", "--rule", "poison-only"),
        ("simulate", INCIDENT, "--range", "0:1", "--param", "b"),
        ("simulate", INCIDENT, "--range", "0:1", "--rule", "loss-floor", "--png", "/nowhere/at/all.png"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[object, ...]) -> None:
    done = command(*arguments)
    assert isinstance(done.exception, UserError)
    assert done.exception.exit_code == 2
    assert "\n" not in str(done.exception)


def test_a_simulation_tells_each_value_and_draws_it(workspace: Path, lenient: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "plot.png"
    done = command("simulate", workspace, "--rule", "anchor-wins-kept", "--range", "0:3:4", "--png", drawn)
    assert done.exit_code == 0, done.exception
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0] == ["value", "accept", "hold", "reject", "cannot be replayed", "stop", "flips"]
    assert [row[0::3] for row in rows[1:]] == [["0", "1", "0"], ["1", "1", "0"], ["2", "0", "1"], ["3", "0", "1"]]
    assert drawn.read_bytes().startswith(b"\x89PNG")
    by_param = command("simulate", workspace, "--policy", lenient, "--param", "most_lost", "--range", "0:3:4", "--json")
    values = json.loads(by_param.stdout)["values"]
    assert [(v["value"], v["accept"], v["flips"]) for v in values] == [(0, 2, 0), (1, 2, 0), (2, 3, 1), (3, 3, 1)]


def test_the_schema_of_a_decision_fits_the_log(workspace: Path) -> None:
    schema = json.loads(CliRunner().invoke(app, ["audit", "schema"]).stdout)
    for line in Workspace(workspace).decisions.read_text().splitlines():
        Draft202012Validator(schema).validate(json.loads(line))
