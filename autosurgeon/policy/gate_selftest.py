"""The self-test of a gate: the policy in force judges known cases before each pass.

A broken gate is not visible from outside: it may accept everything, compare a pack with itself, or accept nothing.
The cases are a record that must be refused, live compared with itself, an empty result, and for each phase evidence
that its own rules accept.
"""

from __future__ import annotations

from autosurgeon.core.decision import Evidence, Verdict
from autosurgeon.core.envelope import ORGAN, Condition, Envelope, Mode, Poison
from autosurgeon.policy.acceptance import wrongly_refused
from autosurgeon.policy.evidence import Results
from autosurgeon.policy.judge import judge
from autosurgeon.policy.promotion import Comparison, promotion_facts
from autosurgeon.policy.schema import Policy

ALPHA = 0.05
SIZES = {"mbpp": 100, "humaneval": 164}
LIVE_WINS = {"mbpp": 13, "humaneval": 6}
KEPT = {"mbpp": 5, "humaneval": 3}
GAINED = {"mbpp": 1, "humaneval": 5}
"""The incident: 8 of 13 and 3 of 6 wins lost, 1 and 5 gained; MBPP ends at 6, HumanEval at 8."""


def self_test(policy: Policy, known: Evidence, live: Comparison | None = None) -> tuple[str, ...]:
    """The failed checks, in words; none when the gate works.

    Args:
        policy: the policy under test.
        known: the facts of the pass so far, which promotion rules may name.
        live: the live pack's own record, compared with itself; the incident's when there is none.

    """
    incident = _incident()
    same = live or incident._replace(pack=incident.live)
    bad = _judged(policy, known, incident)
    itself = _judged(policy, known, same)
    empty = _judged(policy, known, incident._replace(pack={}))
    failed = []
    if bad not in (Verdict.REJECT, Verdict.INVALID):
        failed.append(f"the record of the incident's pack, which lost 11 of 19 wins, came to {bad.value}")
    if itself == Verdict.ACCEPT:
        failed.append("live held against itself was accepted as a gain")
    if empty != Verdict.INVALID:
        failed.append(f"an empty result came to {empty.value} and not to INVALID")
    failed += [
        f"evidence that the rules of phase {judgement.phase} accept came to {judgement.verdict}: {judgement.reason}"
        for judgement in wrongly_refused(policy)
    ]
    return tuple(failed)


def _judged(policy: Policy, known: Evidence, comparison: Comparison) -> Verdict:
    facts = {**known, "budget.alpha": ALPHA, **promotion_facts(comparison._replace(alpha=ALPHA))}
    return judge(policy, "promotion", facts).verdict


def _incident() -> Comparison:
    """The incident's second pack against its first, as today's evidence; a third of the tasks is in the gate split."""
    live, pack = {}, {}
    for bench, size in SIZES.items():
        for number in range(size):
            task = f"{bench}/{number}"
            won = number < LIVE_WINS[bench]
            kept = number < KEPT[bench] or LIVE_WINS[bench] <= number < LIVE_WINS[bench] + GAINED[bench]
            live[task], pack[task] = _envelope(task, bench, won), _envelope(task, bench, kept)
    expected = {task: envelope.split for task, envelope in live.items()}
    anchors = [task for task, envelope in live.items() if envelope.passed]
    results: Results = live
    return Comparison(
        expected, list(expected), pack, results, results, anchors, impossible=(20, ()), confirmed=(), p_luck=1.0
    )


def _envelope(task: str, bench: str, won: bool) -> Envelope:
    split = ("gate", "dev", "surgery")[int(task.split("/")[1]) % 3]
    cond = Condition(mode=Mode.ORGAN_ALONE, pack="self-test", handler=ORGAN, fallback=False, fingerprint="self-test")
    poison = None if won else Poison.WRONG
    return Envelope(task_id=task, bench=bench, split=split, food=int(won), poison=poison, cond=cond)
