"""Whether a gate can still refuse, and still accept: known answers, judged by the policy in force before each pass.

Gates rot in silence: one that accepts everything looks healthy from outside, and so do one that compares a pack with
itself and one that nothing can pass. So a record that must be refused, one that shows nothing, one that is empty, and
for each phase evidence that its own rules accept, are judged first.
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
    """What the gate got wrong, in words; nothing when it can be trusted with a pass.

    Args:
        policy: whose promotion rules are tested.
        known: what is known of the pass so far, which such rules may name.
        live: the live pack's own record, held against itself; the incident's when there is none.

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
    """The incident's second pack against its first, in the shape of today's evidence; a third of the tasks is gate."""
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
        expected, list(expected), pack, results, results, anchors, impossible=(20, ()), confirmed=(), samples=4
    )


def _envelope(task: str, bench: str, won: bool) -> Envelope:
    split = ("gate", "dev", "surgery")[int(task.split("/")[1]) % 3]
    cond = Condition(mode=Mode.ORGAN_ALONE, pack="self-test", handler=ORGAN, fallback=False, fingerprint="self-test")
    poison = None if won else Poison.WRONG
    return Envelope(task_id=task, bench=bench, split=split, food=int(won), poison=poison, cond=cond)
