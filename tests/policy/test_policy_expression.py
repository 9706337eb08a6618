"""Expressions: which are refused, how they are split, and that doubt about one never passes."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import BENCHED, make_policy, make_rule
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autosurgeon.config import shipped
from autosurgeon.core.decision import Evidence, FactValue, Phase, Verdict
from autosurgeon.errors import EvaluatorError, InstallError, PolicyError
from autosurgeon.policy.expression import MOST_DEPTH, check_evaluator, evaluate, in_doubles, names_in, split_clauses
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy

GAIN = "gate.gained - gate.lost >= 1 && gate.p_regression > 0.05"


def expr_rule(expr: str, *, phase: Phase = "promotion", **changes: Any) -> dict[str, Any]:
    return {"id": "r", "phase": phase, "expr": expr, "otherwise": "reject", "lesson": "because"} | changes


def refused(expr: str, **changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        make_policy(expr_rule(expr, **changes))
    return str(caught.value)


def results(expr: str, evidence: Evidence, **changes: Any) -> list[str]:
    judgement = judge(make_policy(expr_rule(expr, **changes)), changes.get("phase", "promotion"), evidence)
    return [rule.result for rule in judgement.rules]


def test_each_clause_has_a_line_of_its_own() -> None:
    evidence: Evidence = BENCHED | {"gate.gained": 2, "gate.lost": 2, "gate.p_regression": 0.5}
    judgement = judge(make_policy(expr_rule(GAIN)), "promotion", evidence)
    assert [(rule.rule_id, rule.result) for rule in judgement.rules] == [("r#1", "failed"), ("r#2", "passed")]
    assert judgement.verdict == Verdict.REJECT
    assert judgement.reason == "r#1: gate.gained and gate.lost is 2 and 2, wanted gate.gained - gate.lost >= 1"
    assert judge(make_policy(expr_rule(GAIN)), "promotion", evidence | {"gate.gained": 3}).verdict == Verdict.ACCEPT


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf])
def test_a_fact_that_is_missing_leaves_its_clause_open_and_no_other(nothing: FactValue) -> None:
    evidence: Evidence = {"gate.gained": nothing, "gate.lost": 0, "gate.p_regression": 0.5}
    assert results(GAIN, evidence) == ["missing", "passed"]
    assert judge(make_policy(expr_rule(GAIN)), "promotion", evidence).verdict == Verdict.INCONCLUSIVE


def test_a_missing_fact_is_missing_even_where_cel_could_do_without_it() -> None:
    assert results("gate.net > 0 || gate.lost == 0", {"gate.net": 5}) == ["missing"]


@pytest.mark.parametrize("wrong", ["2", True, ("a",)])
def test_a_fact_of_another_type_is_no_evidence(wrong: FactValue) -> None:
    evidence: Evidence = BENCHED | {"gate.gained": wrong, "gate.lost": 0, "gate.p_regression": 0.5}
    assert judge(make_policy(expr_rule(GAIN)), "promotion", evidence).verdict == Verdict.INVALID


@pytest.mark.parametrize(
    ("expr", "evidence", "kind"),
    [
        ("gate.gained / gate.lost > 1", {"gate.gained": 0, "gate.lost": 0}, "TypeError"),
        ("data.near_pairs[1] != 'x'", {"data.near_pairs": ("a",)}, "IndexError"),
        ("int(recipe.mix) > 1", {"recipe.mix": "poison"}, "RuntimeError"),
        ("int(training.loss) > 1", {"training.loss": 1e300}, "OverflowError"),
    ],
)
def test_where_every_fact_is_there_and_cel_has_no_answer_the_verdict_is_error_and_names_it(
    expr: str, evidence: Evidence, kind: str
) -> None:
    judgement = judge(make_policy(expr_rule(expr)), "promotion", BENCHED | evidence)
    assert ([rule.result for rule in judgement.rules], judgement.verdict) == (["error"], Verdict.ERROR)
    assert judgement.reason.startswith(f"r#1: could not be evaluated: {kind}: ")


def test_a_number_past_every_double_is_missing() -> None:
    assert results("gate.net > 1", {"gate.net": 10**400}) == ["missing"]


def test_a_fact_that_is_missing_hides_no_error_of_another_clause() -> None:
    assert results("gate.net > 1 && data.near_pairs[1] != 'x'", {"data.near_pairs": ("a",)}) == ["missing", "error"]


def test_an_error_of_a_rule_that_does_not_bind_is_noted_and_decides_nothing() -> None:
    evidence: Evidence = BENCHED | {"gate.net": 1, "data.near_pairs": ()}
    audit = expr_rule("data.near_pairs[0] == 'x'", mode="audit")
    judgement = judge(make_policy(audit, make_rule("g", "gate.net", at_least=1)), "promotion", evidence)
    assert (judgement.verdict, [rule.result for rule in judgement.rules]) == (Verdict.ACCEPT, ["error", "passed"])


class PanicException(BaseException):
    """As the Rust side raises it."""


def broken_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """CEL as in a broken install: whatever it is asked, it raises."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("autosurgeon.policy.expression._compiled", fail)


BROKEN = [
    ImportError("cannot import name 'cel'"),
    ModuleNotFoundError("No module named 'prompt_toolkit'"),
    AttributeError("module 'cel' has no attribute 'compile'"),
    OSError("libgcc_s.so.1: cannot open shared object file"),
    PanicException("called `Option::unwrap()` on a `None` value"),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_an_evaluator_that_fails_is_an_error_and_never_a_missing_fact(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = make_policy(expr_rule(GAIN, otherwise="hold"))
    broken_with(monkeypatch, error)
    evidence: Evidence = BENCHED | {"gate.gained": 2, "gate.lost": 1, "gate.p_regression": 0.5}
    judgement = judge(policy, "promotion", evidence)
    assert judgement.verdict == Verdict.ERROR
    assert judgement.reason.startswith(f"r#1: could not be evaluated: {type(error).__name__}: {error}")
    assert judge(policy, "promotion", BENCHED).verdict == Verdict.INCONCLUSIVE, "a missing fact stays one"


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_a_policy_whose_expressions_cannot_be_evaluated_is_one_line_that_ends_with_what_to_type(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_with(monkeypatch, error)
    with pytest.raises(InstallError, match="pip install --force-reinstall common-expression-language") as caught:
        load_policy(shipped("policies", "bd62.yaml"))
    assert f"got {type(error).__name__}: {error}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_interrupt_is_no_error_of_an_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    broken_with(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        evaluate("true", {})


def test_the_known_answers_are_those_of_the_evaluator() -> None:
    check_evaluator()


@pytest.mark.parametrize("answer", [True, False])
def test_an_evaluator_that_always_gives_one_answer_is_found_out(answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Always:
        def execute(self, values: object) -> bool:
            return answer

    monkeypatch.setattr("autosurgeon.policy.expression._compiled", lambda source: Always())
    with pytest.raises(EvaluatorError, match="a known expression"):
        check_evaluator()


def test_a_number_means_the_same_whole_or_not() -> None:
    for epochs in (1, 1.0):
        assert results("training.epochs * 2 - 1 == 1 && training.steps > 1.5", {"training.epochs": epochs}) == [
            "passed",
            "missing",
        ]


def test_lists_texts_and_truths_work() -> None:
    evidence: Evidence = {"data.near_pairs": ("a ~ b", "c ~ d"), "recipe.mix": "poison", "pack.verified": True}
    expr = (
        "size(data.near_pairs) <= 2 && recipe.mix in ['poison', 'union'] && pack.verified && 'a ~ b' in data.near_pairs"
    )
    assert results(expr, evidence) == ["passed"] * 4
    assert results("data.near_pairs.all(pair, !pair.startsWith('c'))", evidence) == ["failed"]
    assert results('recipe.mix == "a && b" || pack.verified', evidence) == ["passed"]


def test_a_condition_silences_every_clause() -> None:
    when = {"fact": "data.rows", "at_most": 500}
    assert results(GAIN, {"data.rows": 501}, when=when) == ["skipped", "skipped"]


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("gate.nett > 1", "did you mean 'gate.net'"),
        ("watch.canary_net > 1", "watch.canary_net is not known at this phase"),
        ("net > 1", "unknown fact 'net'"),
        ("gate . net > 1", "after a dot alone"),
        ("gate.net", "no condition"),
        ("gate.net > 'a'", "no condition"),
        ("gate.net >", "no condition"),
        ("gate.net > 1 &&", "no condition"),
        ("", "no condition"),
        ("recipe.mix.matches('[')", "no condition"),
        ("now() > 1", "unknown function 'now'"),
        ("gate.net.al(x, x > 1)", "did you mean 'all'"),
        ("gate.net = 1", "has no place"),
        ("gate.net > 1 // gate.lost", "no comments"),
        ("recipe.mix == r'a'", "no prefix"),
        ("recipe.mix == '''a'''", "one pair of quotes"),
        ("recipe.mix == 'a", "has no place"),
        ("{'a': 1} == {}", "has no place"),
        ("(gate.net > 1", "never closed"),
        ("gate.net > 1)", "closes nothing"),
        ("(gate.net > 1]", "closes nothing"),
        ("(" * 30 + "true" + ")" * 30, f"{MOST_DEPTH} deep"),
        ("!" * 2000 + "true", "at most 1000 characters"),
        ("data.near_pairs.all(a, data.near_pairs.all(b, a != b))", "inside each other"),
        ("data.near_pairs.all(a)", "variable and a comma"),
        ("[data.near_pairs].map(a, a).size.b(1)", "unknown function 'b'"),
    ],
)
def test_an_expression_that_no_rule_may_have_is_refused(expr: str, message: str) -> None:
    assert message in refused(expr)


def test_a_rule_has_a_bound_or_an_expression() -> None:
    assert "got both" in refused("gate.net > 1", fact="gate.net", at_least=1)
    assert "got both" in refused("gate.net > 1", at_least=1)
    assert "`stop` needs" in refused("training.loss > 0.5", phase="training", otherwise="stop")


def test_a_mistyped_fact_is_named_with_the_line_of_its_expression(tmp_path: Path) -> None:
    text = "schema: autosurgeon.policy/1\nname: x\nrules:\n  - id: r\n    phase: promotion\n    expr: gate.nett > 1\n"
    path = tmp_path / "policy.yaml"
    path.write_text(text + "    otherwise: hold\n    lesson: Because.\n")
    with pytest.raises(PolicyError, match=r"did you mean 'gate\.net'\? .*policy\.yaml:6\)") as caught:
        load_policy(path)
    assert "\n" not in str(caught.value)


ATOM = st.sampled_from(
    [
        "gate.net > 1",
        "recipe.mix == 'a && b'",
        "(gate.net > 1 && pack.verified)",
        'recipe.mix == "\\"&&"',
        "!pack.verified",
        "data.near_pairs.all(p, p != 'a' && p != 'b')",
        "['&&', 'a'][0] == recipe.mix",
        "'a' in data.near_pairs",
    ]
)


@given(st.lists(ATOM, min_size=1, max_size=6))
def test_parts_joined_at_the_top_come_apart_and_nothing_else_does(parts: list[str]) -> None:
    assert list(split_clauses(" && ".join(parts))) == parts
    assert list(split_clauses("&&".join(parts))) == parts


@given(
    st.lists(ATOM, min_size=1, max_size=5),
    st.lists(st.sampled_from(["&&", "||"]), min_size=4, max_size=4),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["a && b", "a", "&&"]),
)
def test_the_clauses_together_mean_what_the_whole_means(
    parts: list[str], signs: list[str], net: int, verified: bool, mix: str
) -> None:
    source = parts[0] + "".join(f" {sign} {part}" for sign, part in zip(signs, parts[1:], strict=False))
    values: dict[str, bool | int | float | str | tuple[str, ...]] = {
        "gate.net": net,
        "pack.verified": verified,
        "recipe.mix": mix,
        "data.near_pairs": ("a", "c"),
    }
    assert all(evaluate(clause, values).holds for clause in split_clauses(source)) == evaluate(source, values).holds


@given(st.text(alphabet="ab.&|()[]'\" 1?:!,-rx\\", max_size=40))
def test_any_text_is_split_or_refused_and_never_crashes(text: str) -> None:
    try:
        clauses = split_clauses(text)
    except ValueError:
        return
    if len(clauses) > 1:
        assert (
            "".join("".join(clauses).split()) == "".join(text.split()).replace("&&", "") or "'" in text or '"' in text
        )
    for clause in clauses:
        evaluate(clause, {})


def test_names_leave_out_calls_keywords_and_the_variables_of_macros() -> None:
    source = "size(data.near_pairs) > 1 || data.near_pairs.exists(p, p in data.held_out_pairs && true)"
    source += " || recipe.mix.contains('x.y')"
    assert names_in(source) == ("data.near_pairs", "data.held_out_pairs", "recipe.mix")


def test_whole_numbers_become_doubles_but_in_brackets_and_texts() -> None:
    assert in_doubles("a.b[0] > 1 && 'x1' != c.d2 && 2.5e3 > [1, 2][1]") == (
        "a.b[0] > 1.0 && 'x1' != c.d2 && 2.5e3 > [1, 2][1]"
    )


def test_a_command_that_judges_nothing_does_not_load_cel() -> None:
    probe = "import sys, autosurgeon.policy.judge, autosurgeon.policy.load; assert 'cel' not in sys.modules"
    subprocess.run([sys.executable, "-c", probe], check=True)
