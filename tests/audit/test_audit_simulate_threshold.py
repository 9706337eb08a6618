"""One threshold moved over decisions of the past."""

from __future__ import annotations

import pytest
from builders import NOON, make_policy, make_rule

from autosurgeon.audit.recorded import Recorded
from autosurgeon.audit.replay import Replayer
from autosurgeon.audit.simulate_threshold import Tally, parse_range, simulate, with_bound
from autosurgeon.core.decision import Evidence, Phase, Verdict
from autosurgeon.errors import UserError

POLICY = make_policy(
    make_rule("epochs", "recipe.epochs", phase="training", at_most=2),
    make_rule("lost", "smoke.lost", phase="smoke", at_most=0),
    {"id": "sum", "phase": "merge", "expr": "merge.kl < 1.0", "otherwise": "hold", "lesson": "because"},
    make_rule("whole", "pack.verified", phase="merge", equals=True),
)


def one(phase: Phase | None, facts: Evidence, verdict: Verdict | None) -> Recorded:
    return Recorded("d", NOON, phase, facts, verdict, "")


PAST = [
    *(one("training", {"recipe.epochs": n}, Verdict.ACCEPT if n <= 2 else Verdict.REJECT) for n in range(1, 6)),
    one("training", {}, Verdict.INCONCLUSIVE),
    one("training", {"recipe.epochs": None}, Verdict.INCONCLUSIVE),
    one("smoke", {"smoke.lost": 0}, Verdict.ACCEPT),
    one(None, {}, None),
]


def test_each_value_counts_what_it_would_have_decided_and_flipped() -> None:
    tallies = simulate([(value, with_bound(POLICY, "epochs", value)) for value in (0, 2, 4)], PAST)
    assert tallies == [
        Tally(0, accept=1, hold=1, reject=5, unreplayable=1, flips=2),
        Tally(2, accept=3, hold=1, reject=3, unreplayable=1, flips=0),
        Tally(4, accept=5, hold=1, reject=1, unreplayable=1, flips=2),
    ]


def test_a_simulation_agrees_with_a_replay_at_each_value() -> None:
    variants = [(value, with_bound(POLICY, "epochs", value)) for value in (1, 2, 3)]
    for tally, (_, policy) in zip(simulate(variants, PAST), variants, strict=True):
        outcomes = [Replayer(policy).replay(past) for past in PAST if past.phase]
        assert tally.accept == sum(t.after == Verdict.ACCEPT for t in outcomes)
        assert tally.flips == sum(t.flipped for t in outcomes)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0:4", [0, 1, 2, 3, 4]),
        ("0:1", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        ("0.5:1:3", [0.5, 0.75, 1]),
        ("-1:1:2", [-1, 1]),
    ],
)
def test_a_range_is_read_as_people_mean_it(text: str, values: list[float]) -> None:
    assert parse_range(text) == values


@pytest.mark.parametrize(
    "text", ["", "1", "2:1", "1:1", "a:b", "0:1:1", "0:1:2:3", "0:1:9999", "nan:1", "0:inf", "0:1:x"]
)
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="this is not a range"):
        parse_range(text)


@pytest.mark.parametrize(
    ("rule", "message"),
    [("epoch", "did you mean 'epochs'"), ("sum", "no numeric bound"), ("whole", "no numeric bound")],
)
def test_only_a_rule_with_a_number_for_a_bound_moves(rule: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        with_bound(POLICY, rule, 1)
