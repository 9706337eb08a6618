"""Random policies and evidence, as Hypothesis draws them: rules of every kind, facts of every value, right or wrong."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from builders import make_policy
from hypothesis import strategies as st

from autosurgeon.core.decision import PHASES, Evidence, Phase
from autosurgeon.policy.domains import domain_of, known_fact
from autosurgeon.policy.expression import evaluate
from autosurgeon.policy.facts import BY_NAME, Fact, known_at
from autosurgeon.policy.schema import Policy

evaluate("1.0 < 2.0", {})  # CEL draws a random number as it is first loaded, which Hypothesis allows no strategy

FEW = (
    *("recipe.epochs", "recipe.mix", "data.rows", "selftest.failed", "selftest.names", "training.loss", "smoke.lost"),
    *("smoke.lost_names", "pack.verified", "merge.kl", "bench.tasks", "bench.fallbacks", "bench.foreign"),
    *("bench.same_conditions", "gate.net", "gate.lost", "total.p_gain", "watch.canary_tasks", "watch.canary_net"),
    *("watch.lost_names", "baseline.verified", "baseline.live_versions"),
)
"""Few enough that rules and evidence often meet."""
EXPRESSIONS: dict[Phase, tuple[str, ...]] = {
    "promotion": (
        "gate.net - gate.lost >= 1.0 && total.p_gain <= 0.05",
        "gate.net >= 0 || pack.verified",
        "recipe.mix == 'poison' && size(smoke.lost_names) == 0",
        "gate.net / gate.lost > 0.5",
        "smoke.lost_names[1] == 'b'",
        "recipe.mix.matches('^p')",
    ),
    "watch": ("watch.canary_net >= 0 && watch.canary_tasks > 1", "!watch.lost_names.exists(n, n == 'a')"),
    "smoke": ("training.loss * 2 > smoke.lost", "smoke.lost == 0 ? true : recipe.epochs < 2"),
}
FACTS = tuple(BY_NAME[name] for name in FEW)
NUMBERS = st.integers(-4, 4) | st.floats(-4, 4) | st.sampled_from([0.05, 1e300, -1e300])
SOUND: dict[str, st.SearchStrategy[Any]] = {
    "number": NUMBERS,
    "truth": st.booleans(),
    "text": st.sampled_from(["poison", "union", ""]),
    "list": st.lists(st.sampled_from("abc"), max_size=3).map(tuple),
}
ODD: st.SearchStrategy[Any] = (
    st.sampled_from([None, math.nan, math.inf, -math.inf, 10**400, -(10**400), 10**307, "0", "\ud800", True])
    | st.sampled_from([(), ("\udfff",), ("\u2028",), {}, [], ["a"], {1}, b"x", 1j, object(), (1, 2), (None,), Ellipsis])
    | NUMBERS
    | st.text(max_size=5)
)
"""Values that no fact should have, and some that it may: the judge gets what it gets."""


@lru_cache
def possible(name: str) -> st.SearchStrategy[Any]:
    """Values that a fact can have, small ones."""
    domain, kind = domain_of(name), known_fact(name).type
    if domain.values is not None:
        return st.sampled_from(domain.values)
    if kind != "number":
        return SOUND[kind]
    low, high = max(domain.low, -4), min(domain.high, 4)
    if domain.whole:
        return st.integers(math.ceil(low), math.floor(high)) | st.sampled_from([math.ceil(low), 2**40])
    return st.floats(low, high) | st.sampled_from([value for value in (0.05, 1e300) if domain.has(value)])


@st.composite
def bounds(draw: st.DrawFn, fact: Fact) -> dict[str, Any]:
    """A fact with one bound that fits its type."""
    if fact.type == "list":
        return {"fact": fact.name, "subset_of": draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3))}
    kinds = ("at_most", "at_least", "equals", "one_of") if fact.type == "number" else ("equals", "one_of")
    kind = draw(st.sampled_from(kinds))
    value = SOUND[fact.type]
    return {"fact": fact.name, kind: draw(st.lists(value, min_size=1, max_size=3) if kind == "one_of" else value)}


@st.composite
def rules(draw: st.DrawFn, rule_id: str, phase: Phase) -> dict[str, Any]:
    """A rule as a YAML would say it."""
    known = [fact for fact in FACTS if known_at(fact, phase)]
    remedies = ("revert", "warn") if phase == "watch" else ("reject", "hold", "warn")
    rule: dict[str, Any] = {
        "id": rule_id,
        "phase": phase,
        "otherwise": draw(st.sampled_from(remedies)),
        "mode": draw(st.sampled_from(["enforce", "enforce", "audit"])),
        "lesson": "because",
    }
    if draw(st.integers(0, 3)) == 0 and phase in EXPRESSIONS:
        return rule | {"expr": draw(st.sampled_from(EXPRESSIONS[phase]))}
    if draw(st.integers(0, 3)) == 0:
        rule["when"] = draw(st.sampled_from(known).flatmap(bounds))
    if draw(st.integers(0, 5)) == 0 and phase == "training":
        rule = {key: value for key, value in rule.items() if key != "when"}
        return rule | {"otherwise": "stop", "fact": "training.loss", "at_least": draw(st.integers(0, 2))}
    return rule | draw(st.sampled_from(known).flatmap(bounds))


@st.composite
def policies(draw: st.DrawFn, phase: Phase, *, least: int = 0) -> Policy:
    """A policy of some rules, all of one phase."""
    count = draw(st.integers(least, 5))
    return make_policy(*(draw(rules(f"r-{number}", phase)) for number in range(count)))


@st.composite
def evidence(draw: st.DrawFn, *, odd: bool) -> Evidence:
    """Facts by name: sound ones, some of them missing; or, if odd, of any value, and names that are none."""
    found: dict[str, Any] = {}
    for fact in FACTS:
        kind = draw(st.integers(0, 9))
        if kind < 8:
            found[fact.name] = draw(possible(fact.name))
        elif odd:
            found[fact.name] = draw(ODD)
        elif kind == 8:
            found[fact.name] = draw(st.sampled_from([None, math.nan, math.inf]))
    if odd:
        names = st.text(max_size=4) | st.sampled_from(["gate.nett", "slice.b.gate.net", "\ud800", "params.x"])
        found |= draw(st.dictionaries(names, ODD, max_size=2))
    return found


phases = st.sampled_from(PHASES)
