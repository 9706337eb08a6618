"""Random small policies and random evidence, for the properties that hold for all of them."""

from __future__ import annotations

from typing import Any

from builders import BENCHED, make_policy
from hypothesis import strategies as st

from autosurgeon.core.decision import PHASES, Evidence, Phase
from autosurgeon.policy.domains import domain_of, known_fact
from autosurgeon.policy.schema import Policy

READ: dict[Phase, list[str]] = {
    "baseline": ["baseline.verified", "baseline.live_versions"],
    "merge": ["pack.verified", "merge.missing_tensors", "merge.kl", "data.rows"],
    "proposal": ["recipe.mix", "recipe.epochs", "recipe.lr_ratio", "data.rows", "data.near_pairs"],
    "training": ["recipe.parent", "training.loss_fraction", "data.rows", "training.epochs"],
    "smoke": ["smoke.tried", "smoke.lost", "recipe.rank"],
    "promotion": ["gate.net", "gate.lost", "gate.p_regression", "pack.verified", "bench.same_conditions"],
    "watch": ["watch.canary_net", "watch.anchors_lost", "watch.canary_tasks"],
}
"""Facts by phase: few, so that rules meet."""
NUMBERS = st.sampled_from([-1, 0, 0.5, 1, 1.0, 1.5, 2, 3, 7])
ITEMS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=2, unique=True)


def texts(fact: str) -> st.SearchStrategy[str]:
    return st.sampled_from([str(value) for value in domain_of(fact).values or ("a", "b")])


@st.composite
def bounds(draw: st.DrawFn, facts: list[str]) -> dict[str, Any]:
    fact = draw(st.sampled_from(facts))
    kind = known_fact(fact).type
    if kind == "list":
        return {"fact": fact, "subset_of": draw(ITEMS)}
    values: st.SearchStrategy[Any] = {"number": NUMBERS, "truth": st.booleans(), "text": texts(fact)}.get(
        kind, st.nothing()
    )
    names = ["equals", "one_of", *(["at_most", "at_least"] * 2 if kind == "number" else [])]
    name = draw(st.sampled_from(names))
    return {"fact": fact, name: draw(st.lists(values, min_size=1, max_size=2) if name == "one_of" else values)}


@st.composite
def rules(draw: st.DrawFn, number: int) -> dict[str, Any]:
    phase = draw(st.sampled_from(PHASES))
    rule = {"id": f"r-{number}", "phase": phase, "lesson": "because"} | draw(bounds(READ[phase]))
    if draw(st.booleans()):
        rule["when"] = draw(bounds(READ[phase]))
    rule["otherwise"] = draw(st.sampled_from(["revert", "warn"] if phase == "watch" else ["reject", "hold"]))
    return rule | {"mode": draw(st.sampled_from(["enforce", "enforce", "enforce", "audit"]))}


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return make_policy(*(draw(rules(number)) for number in range(draw(st.integers(0, 6)))))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Policy, Policy]:
    """Two that have most of their rules in common."""
    made = [draw(rules(number)) for number in range(draw(st.integers(1, 6)))]
    other = [draw(rules(number)) if draw(st.integers(0, 2)) == 0 else rule for number, rule in enumerate(made)]
    return make_policy(*made), make_policy(*other)


@st.composite
def evidence(draw: st.DrawFn, phase: Phase) -> Evidence:
    """Of each fact a value that it can have, or none."""
    found: Evidence = {**BENCHED, "selftest.failed": 0}
    for fact in READ[phase]:
        domain = domain_of(fact)
        values: st.SearchStrategy[Any] = {
            "number": NUMBERS.filter(domain.has),
            "truth": st.booleans(),
            "text": texts(fact),
            "list": st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=2, unique=True).map(tuple),
        }[known_fact(fact).type]
        found[fact] = draw(values if draw(st.integers(0, 9)) else st.none())
    return found
