"""Cases beside a policy, and the commands that judge evidence at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from test_policy_bd62 import GOOD
from typer.testing import CliRunner, Result

from autosurgeon.cli.main import app
from autosurgeon.config import shipped
from autosurgeon.errors import ExitCode, PolicyError, UserError
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.policy_files import read_yaml
from autosurgeon.policy.policy_tests import read_cases, run_cases

SHIPPED = sorted(shipped("policies").glob("*_test.yaml"))
HEAD: dict[str, Any] = {"schema": "autosurgeon.policy-test/1", "policy": str(shipped("policies", "bd62.yaml"))}
SMOKED = {"name": "smoked", "phase": "smoke", "evidence": {"smoke.tried": 9, "smoke.lost": 0}}
PASSES = SMOKED | {"want": {"verdict": "ACCEPT"}}


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, arguments)], catch_exceptions=True)


def written(folder: Path, *cases: dict[str, Any], **changes: Any) -> Path:
    path = folder / "mine_test.yaml"
    path.write_text(yaml.safe_dump(HEAD | {"cases": list(cases)} | changes))
    return path


def judged(folder: Path, phase: str, evidence: object, *more: object) -> Result:
    path = folder / "evidence.json"
    path.write_text(evidence if isinstance(evidence, str) else json.dumps(evidence))
    return command("judge", "--phase", phase, "--evidence", path, *more)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_case_comes_out_as_wanted(path: Path) -> None:
    assert [(o.case.name, o.message) for o in run_cases(path).outcomes if o.message] == []


def test_every_shipped_policy_has_its_cases() -> None:
    policies = {path.stem for path in shipped("policies").glob("*.yaml")} - {path.stem for path in SHIPPED}
    assert {f"{name}_test" for name in policies} == {path.stem for path in SHIPPED}


def test_every_rule_of_the_default_policy_decides_a_case_of_its_own_name() -> None:
    report = run_cases(shipped("policies", "bd62_test.yaml"))
    assert all(report.decided.values())
    named = {outcome.case.name for outcome in report.outcomes}
    assert all(any(rule in name for name in named) for rule in report.decided)
    assert read_cases(report.path)[1]["good"].keys() == GOOD.keys()


@pytest.mark.parametrize(
    ("phase", "changes", "code", "verdict"),
    [
        ("smoke", {}, 0, "ACCEPT"),
        ("training", {"recipe.anchor_share": 0.0, "training.loss_fraction": 0.3}, 10, "ACCEPT"),
        ("smoke", {"smoke.lost": 1}, 11, "REJECT"),
        ("watch", {"watch.canary_net": -1}, 11, "REJECT"),
        ("promotion", {"gate.net": 0}, 12, "INCONCLUSIVE"),
        ("smoke", {"smoke.lost": None}, 12, "INCONCLUSIVE"),
        ("smoke", {"smoke.lots": 0}, 13, "INVALID"),
    ],
)
def test_the_exit_code_depends_on_the_verdict(
    tmp_path: Path, phase: str, changes: dict[str, Any], code: int, verdict: str
) -> None:
    done = judged(tmp_path, phase, GOOD | changes, "--json")
    assert (done.exit_code, json.loads(done.stdout)["verdict"]) == (code, verdict)
    result = judged(tmp_path, phase, GOOD | changes)
    assert (result.exit_code, result.stdout.splitlines()[-1].split(":")[0]) == (code, verdict)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 5000, "3", "null", '{"smoke.lost": 0,}', "\udcff"])
def test_evidence_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "evidence.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    done = command("judge", "--phase", "smoke", "--evidence", path)
    assert isinstance(done.exception, UserError)
    assert done.exception.exit_code == 2
    assert "\n" not in str(done.exception)
    assert isinstance(command("judge", "--phase", "smok", "--evidence", path).exception, UserError)
    assert isinstance(command("judge", "--phase", "smoke", "--evidence", tmp_path / "no").exception, UserError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"smoke.tried": 9, "smoke.lost": -5}', "smoke.lost is -5, wanted a whole number from 0"),
        ('{"smoke.tried": 9, "smoke.lost": 0.5}', "smoke.lost is 0.5, wanted a whole number from 0"),
        ('{"smoke.tried": 9, "smoke.lost": "0"}', "smoke.lost is 0, wanted a whole number from 0"),
        ('{"smoke.tried": 9, "smoke.lost": false}', "smoke.lost is False, wanted a whole number from 0"),
        ('{"smoke.tried": 9, "smoke.lost": [1]}', "smoke.lost is a list of other things than texts, wanted a whole"),
        ('{"smoke.tried": 9, "smoke.lost": {}}', "smoke.lost is an object, wanted a whole number from 0"),
        ('{"smoke.tried": 9, "smoke.lost": NaN}', "smoke.lost is nan, wanted a whole number from 0"),
        ('{"smoke.tried": 9, "smoke.lost": 0, "training.loss": -Infinity}', "training.loss is -inf, wanted a finite"),
        ('{"smoke.tried": 9, "smoke.lost": 1e400}', "smoke.lost is inf, wanted a whole number from 0"),
        ('{"smoke.tried": ' + "9" * 5000 + ', "smoke.lost": 0}', "smoke.tried is inf, wanted a whole number from 0"),
        ('{"smoke.tried": ' + "9" * 350 + ', "smoke.lost": 0}', "smoke.tried is past every double, wanted a whole"),
        ('{"smoke.tried": 9, "smoke.lost": 0, "smoke.flake_rate": 1.01}', "smoke.flake_rate is 1.01, wanted a finite"),
        ('{"smoke.tried": 9, "smoke.lost": 0, "recipe.mix": 3}', "recipe.mix is 3, wanted one of poison, union"),
        ('{"smoke.tried": 9, "smoke.lost": 0, "recipe.epochs": 0}', "recipe.epochs is 0, wanted a whole number from 1"),
        ('{"smoke.tried": 9, "smoke.lost": 0, "pack.verified": 1}', "pack.verified is 1, wanted true or false"),
        (
            '{"smoke.tried": 9, "smoke.lost": 0, "smoke.lost_names": "a"}',
            "smoke.lost_names is a, wanted a list of texts",
        ),
        ('{"smoke.tried": 9, "smoke.lost": 5, "smoke.lost": 0}', "'smoke.lost' stands twice"),
        ('{"phase": "smoke", "evidence": {"smoke.tried": 9, "smoke.lost": 1}, "evidence": {"smoke.lost": 0}}', "twice"),
        (
            '{"smoke.tried": 9, "smoke.lost": 0, "smoke.lots": 0}',
            "unknown fact 'smoke.lots'; did you mean 'smoke.lost'?",
        ),
    ],
)
def test_impossible_evidence_is_invalid_with_the_fact_and_its_possible_values(
    tmp_path: Path, text: str, message: str
) -> None:
    done = judged(tmp_path, "smoke", text)
    assert done.exit_code == ExitCode.INVALID
    assert done.stdout.splitlines()[-1].startswith("INVALID: ")
    assert message in done.stdout.splitlines()[-1]


def test_a_null_is_missing_and_no_flaw(tmp_path: Path) -> None:
    assert judged(tmp_path, "smoke", '{"smoke.tried": 9, "smoke.lost": null}').exit_code == ExitCode.HOLD


def test_numbers_of_a_file_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = shipped("policies", "bd62.yaml").read_text()
    text += "  - {id: more, phase: merge, fact: merge.kl, at_most: 1e-4, otherwise: hold, lesson: Because.}\n"
    path.write_text(text + "params: {kl: {default: 2E-5}}\n")
    policy = load_policy(path, {"kl": "3e-5"})
    assert (policy.rules[-1].at_most, policy.param_values) == (1e-4, {"kl": 3e-5})
    assert load_policy(path).param_values == {"kl": 2e-5}
    quick = SMOKED | {
        "evidence": {"smoke.tried": 9, "smoke.lost": 0, "training.loss": 1},
        "want": {"verdict": "ACCEPT"},
    }
    cases = written(tmp_path, quick)
    cases.write_text(cases.read_text().replace("training.loss: 1", "training.loss: 1e-3"))
    assert run_cases(cases).outcomes[0].judgement.evidence["training.loss"] == 1e-3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1e-4", 1e-4), ("-1.5E+3", -1500.0), (".5", 0.5), ("010", 10), ("0o10", 8), ("0x1f", 31)),
        *(("'1e-4'", "1e-4"), ("1:30", "1:30"), ("1_000", "1_000"), ("0b1", "0b1"), ("1e", "1e"), ("yes", True)),
    ],
)
def test_what_is_a_number_in_yaml(tmp_path: Path, text: str, value: object) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"a: {text}\n")
    read = read_yaml(path)[0]["a"]
    assert (type(read), read) == (type(value), value)


def test_a_case_with_another_judgement_fails_with_the_difference(tmp_path: Path) -> None:
    cases = [
        PASSES,
        SMOKED | {"name": "wrong\0", "want": {"verdict": "REJECT"}},
        SMOKED | {"name": "rules", "want": {"verdict": "ACCEPT", "rules": ["anchor-wins-kept"]}},
        SMOKED | {"name": "typo", "want": {"verdict": "ACCEPT", "rules": ["anchor-wins-keept"]}},
    ]
    path, junit = written(tmp_path, *cases), tmp_path / "junit.xml"
    done = command("test", path, "--junit", junit)
    assert done.exit_code == 15
    assert "1 of 4 cases passed" in done.stdout
    assert "ACCEPT, wanted REJECT" in done.stdout
    assert "decided by no rule, wanted anchor-wins-kept" in done.stdout
    assert "did you mean 'anchor-wins-kept'" in done.stdout
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("4", "3")
    assert [case.get("name") for case in suite] == ["smoked", "wrong?", "rules", "typo"]


def test_cases_that_pass_end_well_and_rules_that_decided_nothing_are_listed(tmp_path: Path) -> None:
    done = command("test", written(tmp_path, PASSES))
    assert done.exit_code == 0
    rules = len(load_policy(shipped("policies", "bd62.yaml")).rules)
    assert f"1 of 1 cases passed; {rules} of {rules} rules never decided a case" in done.stdout
    plain = json.loads(command("test", written(tmp_path, PASSES), "--json").stdout)
    assert plain[0]["cases"] == [{"name": "smoked", "verdict": "ACCEPT", "failed": None}]
    assert command("test").exit_code == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cases": []}, "cases"),
        ({"casez": []}, "casez"),
        ({"policy": "none.yaml"}, "cannot be read"),
        ({"bases_from": ["mine_test.yaml"]}, "no further"),
        ({"bases_from": ["none.yaml"]}, "cannot be read"),
        ({"cases": [PASSES | {"base": "god"}], "bases": {"good": {}}}, "did you mean 'good'"),
        ({"cases": [PASSES | {"base": "good"}]}, "unknown base 'good'"),
        ({"cases": [PASSES | {"phase": "bake"}]}, "phase"),
        ({"cases": [PASSES | {"evidence": {"smoke.lost": {}}}]}, "no evidence"),
        ({"cases": [PASSES | {"params": {"a": 1}}]}, "unknown parameter 'a'"),
    ],
)
def test_a_case_file_that_is_none_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises((PolicyError, UserError), match=message) as caught:
        run_cases(written(tmp_path, PASSES, **changes))
    assert "\n" not in str(caught.value)


def test_schema_and_check_answer_as_commands(tmp_path: Path) -> None:
    assert json.loads(command("schema").stdout)["title"] == "Policy"
    assert command("check", shipped("policies", "bd62.yaml")).exit_code == 0
    assert isinstance(command("check", "--set", "gain=2").exception, PolicyError)


def test_a_run_with_a_parameter_that_the_policy_lacks_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    more = ["--policy", str(shipped("policies", "strict.yaml")), "--set", "lest_gain=2"]
    done = CliRunner().invoke(app, ["run", "--passes", "1", "--workspace", str(tmp_path / "w"), *more])
    assert isinstance(done.exception, PolicyError)
    assert "did you mean 'least_gain'" in str(done.exception)
    assert not (tmp_path / "w" / "data").exists()


@pytest.mark.parametrize("wrapped", [True, False])
def test_evidence_may_name_its_own_phase_or_be_a_decision_of_the_log(tmp_path: Path, wrapped: bool) -> None:
    decision: dict[str, Any] = {"phase": "smoke", "evidence": {"smoke.tried": 3, "smoke.lost": 1}}
    file = tmp_path / "decision.json"
    file.write_text(json.dumps({"decision_id": "pass-0001-smoke", "judgement": decision} if wrapped else decision))
    done = CliRunner().invoke(app, ["policy", "judge", "--evidence", str(file)])
    assert done.exit_code == 11
    assert "REJECT: anchor-wins-kept" in done.stdout


def test_evidence_without_a_phase_asks_for_one(tmp_path: Path) -> None:
    file = tmp_path / "facts.json"
    file.write_text('{"smoke.tried": 3}')
    refused = CliRunner().invoke(app, ["policy", "judge", "--evidence", str(file)]).exception
    assert "the evidence names no phase; wanted --phase" in str(refused)
