"""Policies made of several files, and their parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import BENCHED

from autosurgeon.core.decision import Judgement, Scalar, Verdict
from autosurgeon.errors import PolicyError, UserError
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.params import parse_assignments

BASE = """\
schema: autosurgeon.policy/1
name: base
params:
  gain: {default: 1, description: Net wins.}
  heat: {default: 1.5}
  mix: {default: poison}
  whole: {default: true}
rules:
  - {id: mix, phase: proposal, fact: recipe.mix, one_of: [$mix, other], otherwise: reject, lesson: Fresh ones.}
  - {id: sane, phase: training, fact: training.loss, at_least: 0, otherwise: hold, lesson: A number.}
  - {id: kept, phase: smoke, fact: smoke.lost, at_most: 0, otherwise: reject, lesson: Keep the wins.}
  - {id: gain, phase: promotion, fact: gate.net, at_least: $gain, otherwise: hold, lesson: Earn it.}
  - {id: lost, phase: promotion, expr: gate.lost < params.gain || !params.whole, otherwise: hold, lesson: Few.}
  - {id: canary, phase: watch, fact: watch.canary_net, at_least: 0, otherwise: revert, lesson: Undo it.}
  - {id: first, phase: baseline, fact: baseline.verified, equals: true, otherwise: hold, lesson: Whole first.}
  - {id: whole, phase: merge, fact: pack.verified, equals: true, otherwise: reject, lesson: Whole again.}
"""
HEAD = "schema: autosurgeon.policy/1\nname: mine\n"


def files(folder: Path, **texts: str) -> Path:
    (folder / "base.yaml").write_text(BASE)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "mine.yaml"


def refused(path: Path, **overrides: Scalar) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def promoted(path: Path, net: int, lost: int = 0, **overrides: Scalar) -> Judgement:
    return judge(load_policy(path, overrides), "promotion", BENCHED | {"gate.net": net, "gate.lost": lost})


def test_a_parameter_moves_bounds_and_expressions_and_is_recorded(tmp_path: Path) -> None:
    files(tmp_path)
    path = tmp_path / "base.yaml"
    assert promoted(path, 1).verdict == Verdict.ACCEPT
    held = promoted(path, 1, 2, gain="2")
    assert held.verdict == Verdict.INCONCLUSIVE
    assert held.params == {"gain": 2, "heat": 1.5, "mix": "poison", "whole": True}
    assert held.reason.splitlines() == [
        "gain: gate.net is 1, wanted at_least 2; lost#1: gate.lost is 2, wanted gate.lost < params.gain || "
        "!params.whole with params.gain = 2, params.whole = True"
    ]
    assert load_policy(path).digest != load_policy(path, {"gain": 2}).digest
    assert load_policy(path).digest == load_policy(path, {"gain": "1"}).digest


def test_a_parameter_keeps_the_type_of_its_default(tmp_path: Path) -> None:
    path = files(tmp_path).with_name("base.yaml")
    policy = load_policy(path, {"heat": "2", "mix": "5", "whole": "false"})
    assert policy.param_values == {"gain": 1, "heat": 2.0, "mix": "5", "whole": False}
    assert "is a number" in refused(path, gain="many")
    assert "is a number" in refused(path, gain="nan")
    assert "is a number" in refused(path, gain=True)
    assert "is true or false" in refused(path, whole="yes")
    assert "is a text" in refused(path, mix=5)


def test_an_unknown_parameter_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = files(tmp_path, mine=BASE.replace("$gain", "$gian"), other=BASE.replace("params.gain", "params.gian"))
    assert "did you mean 'gain'" in refused(tmp_path / "base.yaml", gian=2)
    assert "did you mean 'gain'? (" in refused(path)
    assert "mine.yaml:12" in refused(path)
    message = refused(tmp_path / "other.yaml")
    assert "did you mean 'params.gain'" in message
    assert "other.yaml:13" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params: 5", "params is a mapping"),
        ("params: {gain: 5}", "params is a mapping"),
        ("params: {gain: {default: .nan}}", "finite number"),
        ("params: {gain: {default: [1]}}", "default"),
        ("params: {gain: {}}", "lacks 'default'"),
        ("params: {gain: {default: 1, defalt: 2}}", "did you mean 'default'"),
        ("params: {Gain: {default: 1}}", "Gain: String should match"),
        ("params: {1: {default: 1}}", "valid string"),
        ("rules: [{id: [1], phase: smoke}]", "id"),
        ("include: base.yaml", "include is a list"),
        ("include: [1]", "include is a list"),
        ("include: [none.yaml]", "is no file"),
        ('include: ["a\\0b"]', "include"),
        ("include: [/dev/zero]", "is no file"),
        ("include: [mine.yaml]", "mine.yaml -> mine.yaml"),
        ("include: [base.yaml, ./base.yaml]", "two included policies have one rule id; got mix"),
        ("include: [base.yaml]\nrules: [{id: gian, disabled: true}]", "did you mean 'gain'"),
        ("include: [base.yaml]\nrules: [{id: gain, disabled: false}]", "takes out a rule"),
        ("rules: [{id: gain, disabled: true}]", "an include"),
        ("include: [base.yaml]\nrules: [{id: canary, disabled: true}]", "no binding rule for phase 'watch'"),
        ("include: [base.yaml]\nrules: [{id: gain, at_lest: 1}]", "did you mean 'at_least'"),
        ("include: [base.yaml]\nrules: 7", "list of mappings"),
        ("include: [base.yaml]\nrules: [7]", "list of mappings"),
    ],
)
def test_invalid_content_is_refused_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    message = refused(files(tmp_path, mine=f"{HEAD}{text}\n"))
    assert expected in message
    assert "mine.yaml" in message


def test_an_including_policy_overrides_adds_and_takes_out(tmp_path: Path) -> None:
    mine = "include: [base.yaml]\nparams: {gain: {default: 3}}\nrules:\n  - {id: sane, mode: audit, severity: info}\n"
    mine += "  - {id: kept, expr: smoke.lost < 2}\n  - {id: lost, fact: gate.lost, at_most: $gain}\n"
    mine += "  - {id: mix, disabled: true}\n"
    mine += "  - {id: short, phase: proposal, fact: recipe.epochs, at_most: 2, otherwise: reject, lesson: Few.}\n"
    mine += "  - {id: loss, phase: training, fact: training.loss, at_most: 9, otherwise: reject, lesson: Low.}\n"
    policy = load_policy(files(tmp_path, mine=HEAD + mine))
    rules = {rule.id: rule for rule in policy.rules}
    assert list(rules) == ["sane", "kept", "gain", "lost", "canary", "first", "whole", "short", "loss"]
    assert (rules["sane"].mode, rules["sane"].severity, rules["sane"].lesson) == ("audit", "info", "A number.")
    assert (rules["kept"].expr, rules["kept"].fact) == ("smoke.lost < 2", "")
    assert (rules["lost"].expr, rules["lost"].at_most, rules["gain"].at_least) == (None, 3, 3)
    assert policy.name == "mine"
    assert policy.params["gain"].description == "Net wins."


def test_lines_are_those_of_the_file_that_defines_the_part(tmp_path: Path) -> None:
    mine = HEAD + "include: [bad.yaml]\nrules:\n  - id: gain\n    severity: huge\n"
    bad = BASE.replace("lesson: Undo it", "leson: Undo it")
    assert "mine.yaml:6)" in refused(files(tmp_path, mine=mine, bad=BASE))
    assert "bad.yaml:14)" in refused(files(tmp_path, mine=mine.replace("huge", "info"), bad=bad))
    assert "bad.yaml:1" in refused(files(tmp_path, mine=mine, bad="rulez: []"))
    assert "bad.yaml" in refused(files(tmp_path, mine=mine, bad="rules: []"))


def test_circles_and_depth_are_refused_with_the_chain(tmp_path: Path) -> None:
    path = files(tmp_path, mine=HEAD + "include: [two.yaml]", two=HEAD + "include: [mine.yaml]")
    message = refused(path)
    assert "mine.yaml -> two.yaml -> mine.yaml" in message
    assert "two.yaml:3" in message
    for number in range(12):
        (tmp_path / f"d{number}.yaml").write_text(f"{HEAD}include: [d{number + 1}.yaml]\n")
    assert "d7.yaml -> d8.yaml -> d9.yaml" in refused(tmp_path / "d0.yaml")
    (tmp_path / "d8.yaml").write_text(BASE)
    assert load_policy(tmp_path / "d0.yaml").rules[0].id == "mix"


def test_many_files_are_refused(tmp_path: Path) -> None:
    names = [f"e{number}.yaml" for number in range(40)]
    for name in names:
        (tmp_path / name).write_text(HEAD + "rules: []\n")
    assert "more than 32 files" in refused(files(tmp_path, mine=f"{HEAD}include: {names}\n"))


def test_a_rule_that_aliases_share_is_filled_for_each_alone(tmp_path: Path) -> None:
    content: dict[str, Any] = yaml.safe_load(BASE)
    content["rules"].append(content["rules"][3] | {"id": "again"})
    content["rules"][3]["when"] = content["rules"][-1]["when"] = {"fact": "gate.tasks", "at_least": "$gain"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    assert "&id" in (tmp_path / "mine.yaml").read_text()
    conditions = [rule.when for rule in load_policy(tmp_path / "mine.yaml", {"gain": 4}).rules]
    assert [when.at_least for when in conditions if when] == [4, 4]


def test_assignments_are_names_and_values() -> None:
    assert parse_assignments(["a=1", "b = x=y"]) == {"a": "1", "b": "x=y"}
    for wrong in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(UserError, match="parameter is set"):
            parse_assignments(wrong)


def test_an_old_judgement_without_parameters_still_loads(tmp_path: Path) -> None:
    files(tmp_path)
    old = promoted(tmp_path / "base.yaml", 1).model_dump(mode="json")
    del old["params"]
    for rule in old["rules"]:
        del rule["severity"]
    assert Judgement.model_validate(old).rules[0].severity == "major"
