"""What a policy may refuse before all is known, and what it has to wait for."""

from __future__ import annotations

import pytest
from builders import make_envelope, make_policy, make_rule
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.config import shipped
from autosurgeon.core.decision import Evidence, Verdict
from autosurgeon.core.envelope import Envelope
from autosurgeon.policy.early import is_settled, most_lost, refuses_early
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.promotion import Comparison, promotion_facts
from autosurgeon.policy.reach import Reach, reach_of, reach_of_luck, reach_once_benched
from autosurgeon.policy.rules import LARGEST, apply_rule
from autosurgeon.policy.schema import Policy

POLICY = load_policy(shipped("policies", "bd62.yaml"))
SHIPPED = tuple(load_policy(shipped("policies", f"{name}.yaml")) for name in ("bd62", "strict", "permissive"))
EXPRESSION = {"id": "e", "phase": "promotion", "otherwise": "reject", "lesson": "because"}
LUCK = ("total.p_luck", "total.gained_confirmed")


def after_flips(policy: Policy, e: float, **known: float) -> str | None:
    """The rule that speaks once the flips so far give an e-value."""
    evidence: Evidence = {name.replace("__", "."): value for name, value in known.items()}
    rule = refuses_early(policy, evidence | {"gate.e_regression": e}, {"gate.e_regression": Reach(e, LARGEST)})
    return rule.rule_id if rule else None


def test_the_shipped_policy_ends_a_bench_once_a_loss_is_beyond_doubt() -> None:
    assert after_flips(POLICY, 10.0, budget__alpha=0.03) is None
    assert after_flips(POLICY, 40.0, budget__alpha=0.03) == "losing-beyond-doubt#1"


@pytest.mark.parametrize(
    "changes",
    [{"mode": "audit"}, {"otherwise": "warn"}, {"when": {"fact": "gate.tasks", "at_least": 1}}],
)
def test_a_rule_that_does_not_bind_or_needs_all_of_the_bench_ends_nothing(changes: dict[str, object]) -> None:
    rule = make_rule("e", "gate.e_regression", at_most=1) | changes
    assert after_flips(make_policy(rule), 9.0, gate__tasks=5) is None


def test_a_rule_on_totals_waits_for_them() -> None:
    assert refuses_early(make_policy(make_rule("net", "gate.net", at_least=1)), {"gate.net": -9}, {}) is None
    mixed = EXPRESSION | {"expr": "gate.e_regression < 2.0 && gate.net >= 0"}
    assert after_flips(make_policy(EXPRESSION | {"expr": "gate.e_regression + gate.net < 2.0"}), 9.0) is None
    assert after_flips(make_policy(mixed), 9.0) == "e#1"


@pytest.mark.parametrize(
    "expr",
    [
        "gate.e_regression > 50.0",
        "gate.e_regression == 7.0",
        "gate.e_regression != 9.0",
        "gate.e_regression * gate.e_regression < 2.0",
        "1.0 / (gate.e_regression - 20.0) > -0.5",
        "int(gate.e_regression) < 2",
        "gate.e_regression < 2.0 ? true : false",
    ],
)
def test_an_expression_that_could_still_turn_ends_nothing(expr: str) -> None:
    assert after_flips(make_policy(EXPRESSION | {"expr": expr}), 9.0) is None


def test_what_is_known_before_the_bench_may_be_part_of_it() -> None:
    rule = make_rule("e", "gate.e_regression", at_most=1, when={"fact": "data.rows", "at_most": 500})
    assert after_flips(make_policy(rule), 9.0, data__rows=9) is not None
    assert after_flips(make_policy(rule), 9.0, data__rows=900) is None


def test_a_missing_fact_ends_nothing_early() -> None:
    assert after_flips(POLICY, 1e9) is None


def test_a_smoke_ends_at_the_tightest_binding_bound() -> None:
    rules = [make_rule(f"r{n}", "smoke.lost", phase="smoke", at_most=n) for n in (3, 1)]
    assert most_lost(make_policy(*rules)) == 1
    assert most_lost(make_policy(rules[0], rules[1] | {"mode": "audit"})) == 3
    assert most_lost(make_policy(rules[0] | {"when": {"fact": "data.rows", "at_most": 5}})) is None
    assert most_lost(POLICY) == 0
    assert most_lost(POLICY, "anchors.lost") == 0


def comparison_of(before: dict[str, str], after: str, *, anchors: tuple[str, ...] = ()) -> Comparison:
    """A comparison of tasks by split, `+` for what live wins; `after` has what the pack has run so far, in order."""
    tasks = {
        f"b/{split}-{n}": (split, won == "+") for split, results in before.items() for n, won in enumerate(results)
    }
    live = {task: make_envelope(task, passed=won, split=split) for task, (split, won) in tasks.items()}
    pack = {
        task: make_envelope(task, passed=mark == "+", split=tasks[task][0])
        for task, mark in zip(tasks, after, strict=False)
    }
    return Comparison({task: split for task, (split, _) in tasks.items()}, tuple(tasks), pack, live, live, anchors)


def spoken(policy: Policy, comparison: Comparison, known: Evidence | None = None) -> str | None:
    facts = (known or {}) | promotion_facts(comparison._replace(stopped=True))
    rule = refuses_early(policy, facts, reach_of(comparison))
    return rule.rule_id if rule else None


def test_a_gate_that_is_over_decides_by_itself() -> None:
    held = make_policy(make_rule("net", "gate.net", at_least=1, otherwise="hold"))
    assert spoken(held, comparison_of({"gate": "--", "dev": "---"}, "--")) == "net"
    assert spoken(held, comparison_of({"gate": "--", "dev": "---"}, "-+")) is None


def test_a_pack_that_could_not_gain_enough_any_more_is_held_within_the_gate_and_rejected_only_after_it() -> None:
    begun = comparison_of({"gate": "+++-", "dev": "-"}, "--")
    for otherwise, expected in (("hold", "net"), ("reject", None)):
        assert spoken(make_policy(make_rule("net", "gate.net", at_least=1, otherwise=otherwise)), begun) == expected
    assert spoken(make_policy(make_rule("net", "gate.net", at_least=-1, otherwise="hold")), begun) is None


def test_one_anchor_that_is_lost_for_good_ends_a_bench_and_one_that_was_not_tried_again_does_not() -> None:
    comparison = comparison_of({"gate": "+---", "dev": "-"}, "-", anchors=("b/gate-0",))
    assert spoken(POLICY, comparison) == "no-anchor-lost"
    assert spoken(POLICY, comparison._replace(recovered=("b/gate-0",))) is None
    assert spoken(POLICY, comparison._replace(undecided=("b/gate-0",))) is None
    facts = promotion_facts(comparison._replace(stopped=True, undecided=("b/gate-0",)))
    assert facts["anchors.lost"] is None


def test_a_condition_on_what_is_still_open_keeps_a_rule_waiting() -> None:
    rule = make_rule("split", "gate.net", at_least=1, when={"fact": "bench.shared_tier", "at_least": 1})
    rule["otherwise"] = "hold"
    comparison = comparison_of({"gate": "--", "dev": "-"}, "--")
    assert spoken(make_policy(rule), comparison) is None
    shared = {task: e.model_copy(update={"tier": "shared"}) for task, e in comparison.pack.items()}
    assert spoken(make_policy(rule), comparison._replace(pack=shared)) == "split"


def test_sampling_is_over_once_its_evidence_is_enough_or_cannot_be() -> None:
    rule = EXPRESSION | {"expr": "total.p_luck <= budget.alpha"}
    known: Evidence = {"budget.alpha": 1e-4}

    def over(least: float, most: float, policy: Policy) -> bool:
        return is_settled(policy, known, reach_of_luck((least, most), (2, 9)), LUCK)

    assert [over(1e-9, most, make_policy(rule)) for most in (1.0, 1e-3, 1e-5)] == [False, False, True]
    assert [over(least, 1.0, make_policy(rule)) for least in (1e-3, 1e-5)] == [True, False]
    wants_all = make_rule("many", "total.gained_confirmed", at_least=5, mode="audit")
    assert not over(1e-9, 1e-5, make_policy(rule, wants_all))


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[Comparison, int]:
    """A whole comparison of random results, and after how many tasks it is looked at."""
    splits = draw(st.lists(st.sampled_from(["surgery", "dev", "gate", "gate"]), min_size=1, max_size=14))
    splits.sort(key=lambda split: split != "gate")
    expected = {f"{'ab'[n % 2]}/{n}": split for n, split in enumerate(splits)}
    flip = st.booleans()

    def results() -> dict[str, Envelope]:
        tier = st.sampled_from(["split", "split", "split", "shared"])
        return {t: make_envelope(t, passed=draw(flip), split=s, tier=draw(tier)) for t, s in expected.items()}

    pack, live, base = results(), results(), results()
    anchors = [task for task, envelope in live.items() if envelope.passed and draw(flip)]
    failed = [task for task in anchors if not pack[task].passed]
    recovered = [task for task in failed if draw(flip)]
    comparison = Comparison(
        expected, tuple(expected), pack, live, base, anchors, anchors[:1], recovered, impossible=(1, ())
    )
    return comparison._replace(alpha=0.03, p_luck=1.0), draw(st.integers(0, len(splits)))


@given(comparisons(), st.sampled_from(SHIPPED))
def test_whenever_a_bench_may_end_early_its_end_would_not_have_been_a_promotion(
    drawn: tuple[Comparison, int], policy: Policy
) -> None:
    comparison, ran = drawn
    known: Evidence = {"budget.alpha": 0.5, "data.rows": 100, "selftest.failed": 0}
    begun = comparison._replace(pack={task: comparison.pack[task] for task in comparison.order[:ran]}, stopped=True)
    here = known | promotion_facts(begun)
    early = refuses_early(policy, here, reach_of(begun))
    if early is None:
        return
    by_id = {rule.id: rule for rule in policy.rules}
    rule = by_id[early.rule_id.split("#")[0]]
    gained = comparison.flips(comparison.expected).gained
    for confirmed, p_luck in (((), 1.0), (gained, 1e-9)):
        in_the_end = known | promotion_facts(comparison._replace(confirmed=confirmed, p_luck=p_luck))
        results = {result.rule_id: result.result for result in apply_rule(rule, in_the_end, policy.param_values)}
        assert results[early.rule_id] == "failed"
        assert judge(policy, "promotion", in_the_end).verdict != Verdict.ACCEPT
    verdicts = {"reject": (Verdict.REJECT, Verdict.INVALID), "hold": (Verdict.INCONCLUSIVE, *WORSE)}
    assert judge(policy, "promotion", here).verdict in verdicts[rule.otherwise]


WORSE = (Verdict.REJECT, Verdict.INVALID, Verdict.ERROR)


@given(comparisons())
def test_what_a_fact_comes_to_lies_within_its_reach_at_every_look(drawn: tuple[Comparison, int]) -> None:
    comparison, ran = drawn
    in_the_end = promotion_facts(comparison)
    begun = comparison._replace(pack={task: comparison.pack[task] for task in comparison.order[:ran]})
    for reach in (reach_of(begun), reach_once_benched(comparison)):
        for name, (least, most) in reach.items():
            value = in_the_end[name]
            if value is not None:
                assert isinstance(value, (int, float))
                assert least <= value <= most
