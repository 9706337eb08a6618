from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from builders import make_rule

from autosurgeon.core.decision import PHASES
from autosurgeon.errors import PolicyError
from autosurgeon.policy.load import MAX_POLICY_BYTES, load_policy

GOOD = """\
schema: autosurgeon.policy/1
name: small
rules:
  - {id: short, phase: proposal, fact: recipe.epochs, at_most: 2, otherwise: reject, lesson: Few readings.}
  - {id: sane, phase: training, fact: training.loss, at_least: 0, otherwise: hold, lesson: A number.}
  - {id: kept, phase: smoke, fact: smoke.lost, at_most: 0, otherwise: reject, lesson: Keep the wins.}
  - {id: gain, phase: promotion, fact: gate.net, at_least: 1, otherwise: hold, lesson: Earn it.}
  - id: canary
    phase: watch
    fact: watch.canary_net
    at_least: 0
    otherwise: revert
    lesson: Undo it.
  - {id: first, phase: baseline, fact: baseline.verified, equals: true, otherwise: hold, lesson: Whole first.}
  - {id: whole, phase: merge, fact: pack.verified, equals: true, otherwise: reject, lesson: Whole again.}
"""


def refused(folder: Path, text: str | bytes) -> str:
    path = folder / "policy.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    message = str(caught.value)
    assert "policy.yaml" in message
    assert "\n" not in message
    return message


def test_a_good_policy_loads_with_its_rules_in_order(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(GOOD)
    policy = load_policy(tmp_path / "policy.yaml")
    assert policy.name == "small"
    assert [rule.id for rule in policy.rules] == ["short", "sane", "kept", "gain", "canary", "first", "whole"]


def test_comments_and_layout_do_not_change_the_digest(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(GOOD)
    (tmp_path / "two.yaml").write_text("# a comment\n" + yaml.safe_dump(yaml.safe_load(GOOD), sort_keys=True))
    assert load_policy(tmp_path / "one.yaml").digest == load_policy(tmp_path / "two.yaml").digest


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    message = refused(tmp_path, GOOD.replace("    at_least: 0\n", "    atleast: 0\n"))
    assert "'atleast'" in message
    assert "did you mean 'at_least'" in message
    assert "policy.yaml:11" in message


def test_an_unknown_key_at_the_top_is_named_with_the_nearest_key(tmp_path: Path) -> None:
    assert "did you mean 'name'" in refused(tmp_path, GOOD.replace("name: small", "name: small\nnames: x"))


def test_an_unknown_fact_is_named_with_the_line_of_its_rule(tmp_path: Path) -> None:
    message = refused(tmp_path, GOOD.replace("fact: watch.canary_net", "fact: watch.canary_nett"))
    assert "did you mean 'watch.canary_net'" in message
    assert re.search(r"policy\.yaml:(8|9|10)\)", message)


def test_a_key_that_stands_twice_is_refused_though_yaml_would_take_the_last(tmp_path: Path) -> None:
    message = refused(tmp_path, GOOD.replace("    at_least: 0\n", "    at_least: 0\n    at_least: -99\n"))
    assert "stands twice" in message
    assert "policy.yaml:12" in message


def test_two_rules_of_one_id_are_refused(tmp_path: Path) -> None:
    assert "got canary" in refused(tmp_path, GOOD.replace("id: short", "id: canary"))


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_that_nothing_guards_is_refused(tmp_path: Path, phase: str) -> None:
    content = yaml.safe_load(GOOD)
    content["rules"] = [rule for rule in content["rules"] if rule["phase"] != phase]
    assert f"no binding rule for phase '{phase}'" in refused(tmp_path, yaml.safe_dump(content))


@pytest.mark.parametrize("change", [{"mode": "audit"}, {"otherwise": "warn"}])
def test_a_rule_that_does_not_bind_guards_nothing(tmp_path: Path, change: dict[str, str]) -> None:
    content = yaml.safe_load(GOOD)
    content["rules"][3] |= change
    assert "no binding rule for phase 'promotion'" in refused(tmp_path, yaml.safe_dump(content))


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert "lacks 'lesson'" in refused(tmp_path, GOOD.replace("    lesson: Undo it.\n", ""))


def test_a_newer_policy_language_is_refused(tmp_path: Path) -> None:
    assert "autosurgeon.policy/1" in refused(tmp_path, GOOD.replace("policy/1", "policy/2"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"rules: [", "not YAML"),
        (b"a: b: c", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"a: \x00", "not YAML"),
        (b"[" * 1500, "not YAML"),
        (b"a: " + b"9" * 5000, "not YAML"),
        (b"", "a policy is a mapping"),
        (b"- 1", "a policy is a mapping"),
        (b"? [a, b]\n: c", "not YAML"),
        (b"a: !!python/object/apply:os.system ['true']", "not YAML"),
        (b"1: 2", "policy"),
        (b"rules: 5", "policy"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_in_one_line(tmp_path: Path, text: bytes, message: str) -> None:
    assert message in refused(tmp_path, text)


def test_a_file_that_holds_itself_is_refused(tmp_path: Path) -> None:
    assert "policy" in refused(tmp_path, "rules: &self\n  again: *self\n")


def test_a_file_of_nested_aliases_is_refused_in_no_time(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{l: *a{n - 1}, r: *a{n - 1}}}" for n in range(1, 40)]
    assert "policy" in refused(tmp_path, "\n".join(lines))


def test_merges_of_merges_are_refused_in_no_time(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60)]
    assert "merges nothing" in refused(tmp_path, "\n".join(lines))


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    assert "too large" in refused(tmp_path, b"#" * (MAX_POLICY_BYTES + 1))


def test_a_missing_file_is_the_users_to_fix(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")


def test_a_rule_of_the_builder_loads_from_a_file(tmp_path: Path) -> None:
    content = yaml.safe_load(GOOD)
    content["rules"].append(make_rule("extra", "gate.lost", at_most=0))
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(content))
    assert load_policy(tmp_path / "policy.yaml").rules[-1].id == "extra"
