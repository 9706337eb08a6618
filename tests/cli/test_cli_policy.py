"""`policy check`, `policy diff` and `policy explain` as commands: what they print, and how they end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import NOON, make_decision
from typer.testing import CliRunner, Result

from autosurgeon.cli.main import app
from autosurgeon.config import shipped
from autosurgeon.core.decision import Decision, Evidence, Phase
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import PolicyError, UserError
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy
from autosurgeon.store.sqlstore import SqlStore

BD62, STRICT = shipped("policies", "bd62.yaml"), shipped("policies", "strict.yaml")


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, arguments)], catch_exceptions=True)


def extended(folder: Path, *rules: dict[str, Any], name: str = "mine") -> Path:
    """bd62 with more rules."""
    path = folder / f"{name}.yaml"
    path.write_text(
        yaml.safe_dump({"schema": "autosurgeon.policy/1", "name": name, "include": [str(BD62)], "rules": list(rules)})
    )
    return path


def rule(rule_id: str, **content: Any) -> dict[str, Any]:
    return {"id": rule_id, "phase": "promotion", "otherwise": "reject", "lesson": "because"} | content


def decided(folder: Path, decision_id: str, phase: Phase, evidence: Evidence, policy: Path = BD62) -> Path:
    """A workspace with one decision, made by a policy."""
    judgement = judge(load_policy(policy), phase, evidence)
    store = SqlStore(Workspace(folder).database, create=True)
    store.decide(
        Decision(decision_id=decision_id, pass_number=None, judgement=judgement, action="stop", reason="", at=NOON)
    )
    store.decide(make_decision("start"))
    store.close()
    return folder


def test_a_check_names_the_file_and_the_line_of_what_no_evidence_can_meet(tmp_path: Path) -> None:
    path = extended(tmp_path, rule("more", fact="gate.gained", at_least=0), rule("none", fact="gate.lost", at_most=-1))
    refused = command("check", path).exception
    assert isinstance(refused, PolicyError)
    line = 1 + path.read_text().splitlines().index("- at_most: -1")
    assert f"{path}:{line})" in str(refused)
    assert "rule 'none' is contradictory: no value of gate.lost is at_most -1" in str(refused)
    assert isinstance(command("check", path, "--json").exception, PolicyError)


def test_a_check_tells_what_is_doubtful_and_ends_well(tmp_path: Path) -> None:
    path = extended(tmp_path, rule("loose", fact="anchors.lost", at_most=3))
    done = command("check", path)
    assert done.exit_code == 0
    assert "warning: loose (redundant): wherever it refuses no-anchor-lost (anchors.lost at_most 0, reject)" in (
        done.stdout
    )
    assert "note: training-ended-in-numbers (never-binds)" in done.stdout
    plain = json.loads(command("check", path, "--json").stdout)
    assert [(one["level"], one["rule"]) for one in plain["findings"]] == [
        ("warning", "loose"),
        ("note", "training-ended-in-numbers"),
    ]
    assert plain["findings"][1]["where"].startswith(f"{BD62}:")


def test_a_bound_that_no_double_can_hold_is_refused(tmp_path: Path) -> None:
    refused = command("check", extended(tmp_path, rule("r", fact="gate.lost", at_most=10**400))).exception
    assert isinstance(refused, PolicyError)
    assert "at_most needs finite numbers" in str(refused)


def test_the_same_policy_twice_ends_with_0_and_another_one_with_1() -> None:
    same = command("diff", BD62, BD62)
    assert same.exit_code == 0
    assert "no evidence distinguishes them" in same.stdout
    other = command("diff", BD62, STRICT)
    assert other.exit_code == 15
    assert [line.split("\t")[1] for line in other.stdout.splitlines()[1:8]] == [
        *("same", "tighter", "tighter", "same", "same", "tighter", "same"),
    ]


def test_evidence_of_a_difference_can_be_judged_at_hand(tmp_path: Path) -> None:
    plain = json.loads(command("diff", STRICT, BD62, "--json").stdout)
    assert not plain["same"]
    phase = next(phase for phase in plain["phases"] if phase["phase"] == "promotion")
    assert (phase["relation"], phase["only_a_accepts"], phase["undecided_because_of"]) == ("looser", None, [])
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps(phase["only_b_accepts"]["evidence"]))
    judged = [command("judge", "--policy", p, "--phase", "promotion", "--evidence", facts) for p in (STRICT, BD62)]
    assert [done.exit_code for done in judged] == [12, 0]


def test_a_difference_that_an_expression_leaves_open_is_told_and_is_not_the_same(tmp_path: Path) -> None:
    one = extended(tmp_path, rule("e", expr="gate.net >= 2", otherwise="hold"), name="one")
    two = extended(tmp_path, rule("e", expr="2 <= gate.net", otherwise="hold"), name="two")
    done = command("diff", one, two)
    assert done.exit_code == 15
    assert re.search("undecided because of .*expression e\\t", done.stdout)


def test_a_parameter_goes_to_whichever_policy_has_it(tmp_path: Path) -> None:
    same = command("diff", STRICT, extended(tmp_path), "--set", "least_gain=1", "--set", "most_lost=50", "--json")
    assert json.loads(same.stdout)["a"]["digest"] != load_policy(STRICT).digest
    refused = command("diff", STRICT, BD62, "--set", "lest_gain=1").exception
    assert isinstance(refused, PolicyError)
    assert "unknown parameter 'lest_gain'" in str(refused)
    assert isinstance(command("diff", BD62, tmp_path / "none.yaml").exception, PolicyError)


def test_a_refusal_is_explained_with_its_rule_and_the_smallest_change(tmp_path: Path) -> None:
    workspace = decided(tmp_path, "pass-0004-smoke", "smoke", {"smoke.tried": 30, "smoke.lost": 21})
    done = command("explain", "pass-0004-smoke", "--workspace", workspace)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    row = next(line.split("\t") for line in lines if line.startswith("anchor-wins-kept"))
    assert row[1:6] == ["failed", "smoke.lost", "21", "at_most 0", "-21"]
    assert any(line.startswith("first deciding rule: anchor-wins-kept: If any confirmed win") for line in lines)
    assert lines[-1] == ("the smallest change that would have it accepted, of 1 fact: smoke.lost: 21 -> 0 (at_most 0)")
    plain = json.loads(command("explain", "pass-0004-smoke", "-w", workspace, "--json").stdout)
    assert plain["first_deciding_rule"] == "anchor-wins-kept"
    assert plain["another_policy"] is None
    assert plain["flip"]["changes"][0] | {"message": ""} == {
        "fact": "smoke.lost",
        "observed": 21,
        "value": 0,
        "wanted": "at_most 0",
        "message": "",
    }
    assert (plain["flip"]["verdict"], plain["flip"]["smallest"]) == ("ACCEPT", True)


def test_an_acceptance_is_explained_by_what_would_have_refused_it(tmp_path: Path) -> None:
    workspace = decided(tmp_path, "d", "smoke", {"smoke.tried": 30, "smoke.lost": 0})
    last = command("explain", "d", "--workspace", workspace).stdout.splitlines()[-1]
    assert last.startswith("the smallest change that would have it refused, of 1 fact: smoke.")


def test_a_decision_by_another_policy_is_said_to_be_one(tmp_path: Path) -> None:
    evidence: Evidence = {"training.loss": 1.0, "training.loss_fraction": 0.9, "training.epochs": 2.0}
    workspace = decided(tmp_path, "d", "training", evidence, STRICT)
    said = command("explain", "d", "--workspace", workspace).stdout
    assert "judged by strict " in said
    assert "is computed with bd62 " in said
    assert "its verdict on this evidence is ACCEPT" in said
    right = command("explain", "d", "--workspace", workspace, "--policy", STRICT).stdout
    assert "judged by strict" not in right
    assert "training.epochs: 2.0 -> 1 (at_most 1)" in right


@pytest.mark.parametrize(
    ("name", "said"), [("pass-0004-smok", "did you mean 'pass-0004-smoke'"), ("start", "no policy")]
)
def test_a_decision_that_is_none_is_one_line(tmp_path: Path, name: str, said: str) -> None:
    workspace = decided(tmp_path, "pass-0004-smoke", "smoke", {"smoke.tried": 30, "smoke.lost": 21})
    refused = command("explain", name, "--workspace", workspace).exception
    assert isinstance(refused, UserError)
    assert said in str(refused)


def test_a_night_is_not_begun_under_a_policy_that_could_accept_nothing(tmp_path: Path) -> None:
    path = extended(tmp_path, rule("more", fact="gate.net", at_most=0))
    refused = (
        CliRunner().invoke(app, ["run", "--policy", str(path), "--passes", "1", "-w", str(tmp_path / "w")]).exception
    )
    assert isinstance(refused, PolicyError)
    assert "policy check" in str(refused)
    assert not (tmp_path / "w" / "data").exists()
