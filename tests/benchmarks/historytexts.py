"""Decisions of a long history, as templates in which a pass puts its own numbers."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from builders import NOON, make_policy, make_rule

from autosurgeon.core.decision import Decision, Evidence
from autosurgeon.core.digest import canonical_json
from autosurgeon.core.hash_chain import payload_text
from autosurgeon.core.pass_states import pass_scope
from autosurgeon.policy.judge import judge

PASS, VERSION, PACK = 4242424242, 5353535353, "PACK-HERE"
"""What stands in a template where a decision's own numbers go."""


class Texts(NamedTuple):
    """A decision as the three places hold it."""

    record: str
    payload: str
    line: str

    def of(self, number: int, version: int, pack: str) -> Texts:
        """The texts of one pass."""
        changes = ((pass_scope(PASS), pass_scope(number)), (str(PASS), str(number)), (str(VERSION), str(version)))
        found = []
        for text in self:
            for before, after in (*changes, (PACK, pack)):
                text = text.replace(before, after)
            found.append(text)
        return Texts(*found)


def template(phase: Any, action: Any, *, moves_live: bool = False) -> Texts:
    """A decision of a phase, judged by one rule on a few facts."""
    refused = action in ("stop", "revert")
    fact = "watch.canary_lost" if phase == "watch" else "recipe.epochs"
    changes = {"at_most": 1 if refused else 2, "otherwise": "revert" if phase == "watch" else "reject"}
    policy = make_policy(make_rule("rule", fact, phase=phase, **changes))
    evidence: Evidence = {fact: 2} | {f"{phase}.fact_{n}": n / 7 for n in range(9)}
    record = Decision(
        decision_id=f"{pass_scope(PASS)}-{phase}",
        pass_number=PASS,
        judgement=judge(policy, phase, evidence),
        action=action,
        reason="as the rule demands",
        pack=PACK if moves_live else None,
        live_version=VERSION if moves_live else None,
        at=NOON,
    ).record()
    return Texts(json.dumps(record), payload_text(record), canonical_json(record))
