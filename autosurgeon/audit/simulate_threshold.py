"""Simulation: how moving one threshold would have changed decisions of the past."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import NamedTuple

from autosurgeon.audit.recorded import Recorded
from autosurgeon.audit.replay import Replayed, Replayer
from autosurgeon.core.decision import PHASES, Phase, Verdict
from autosurgeon.errors import UserError, nearest
from autosurgeon.policy.schema import Policy, Rule

USUAL_STEPS = 11
MOST_STEPS = 200


class Tally(NamedTuple):
    """What became of the decisions at one value of the threshold."""

    value: float
    accept: int = 0
    hold: int = 0
    reject: int = 0
    """Errors and invalid evidence too: none of them goes on."""
    untold: int = 0
    """Those that cannot be replayed."""
    stop: int = 0
    """Those at which a rule would have ended the training, whatever their verdict."""
    flips: int = 0
    """Against the verdicts that were recorded."""

    def after(self, replayed: Replayed) -> Tally:
        """With one more."""
        found = replayed.after
        return Tally(
            self.value,
            self.accept + (found == Verdict.ACCEPT),
            self.hold + (found == Verdict.INCONCLUSIVE),
            self.reject + (found in (Verdict.REJECT, Verdict.ERROR, Verdict.INVALID)),
            self.untold + (found is None),
            self.stop + replayed.stops,
            self.flips + replayed.flipped,
        )


def parse_range(text: str) -> list[float]:
    """The values of LOW:HIGH[:STEPS]; whole ones where both ends are whole and no steps are named, if they are few."""
    parts = text.split(":")
    try:
        low, high = float(parts[0]), float(parts[1])
        steps = int(parts[2]) if len(parts) == 3 else None
        fits = len(parts) <= 3 and isfinite(low) and isfinite(high) and low < high
        if not fits or not 2 <= (steps or 2) <= MOST_STEPS:
            raise ValueError
    except (ValueError, IndexError) as error:
        wanted = f"LOW:HIGH[:STEPS] with LOW below HIGH and 2 to {MOST_STEPS} steps, such as 0:10:11"
        raise UserError("this is no range", got=repr(text), wanted=wanted) from error
    if steps is None:
        whole = low.is_integer() and high.is_integer() and USUAL_STEPS / 3 < high - low < 2 * USUAL_STEPS
        steps = int(high - low) + 1 if whole else USUAL_STEPS
    # Rounded, so that 0.1 + 2 * 0.1 is the 0.3 that people and bounds mean.
    values = [float(f"{low + (high - low) * step / (steps - 1):.12g}") for step in range(steps)]
    return [int(value) if value.is_integer() else value for value in values]


def with_bound(policy: Policy, rule_id: str, value: float) -> Policy:
    """The policy with another bound of one rule; UserError where that rule has no number for one."""
    found = next((rule for rule in policy.rules if rule.id == rule_id), None)
    if found is None:
        known = nearest(rule_id, (rule.id for rule in policy.rules))
        raise UserError("there is no such rule", got=repr(rule_id), wanted=known)
    bound = next((name for name in ("at_most", "at_least") if getattr(found, name) is not None), None)
    if bound is None:
        got = f"{rule_id}, which wants {found.expr or found.bound}"
        raise UserError("this rule has no bound that moves", got=got, wanted="a rule of at_most or at_least")
    moved = Rule.model_validate(found.model_dump() | {bound: value})
    rules = tuple(moved if rule.id == rule_id else rule for rule in policy.rules)
    return policy.model_copy(update={"rules": rules})


def simulate(variants: Sequence[tuple[float, Policy]], recorded: Iterable[Recorded]) -> list[Tally]:
    """Each variant's tally of the decisions that were judged, each read once.

    Args:
        variants: policies by the value of their threshold, one at least.
        recorded: decisions, in any order.

    """
    tallies = [Tally(value) for value, _ in variants]
    replayers = [Replayer(policy) for _, policy in variants]
    moving = _moving_phases([policy for _, policy in variants])
    for one in recorded:
        if one.phase is None:
            continue
        # Most decisions are of phases that the threshold has no word in: they are judged once for all.
        usual = None if one.phase in moving else replayers[0].replay(one)
        tallies = [
            tally.after(usual or replayer.replay(one)) for tally, replayer in zip(tallies, replayers, strict=True)
        ]
    return tallies


def _moving_phases(policies: Sequence[Policy]) -> set[Phase]:
    """The phases that two of the policies may judge in different ways: by other rules, or by other parameters."""
    return {
        phase
        for phase in PHASES
        if any(policy.rules_of(phase) != policies[0].rules_of(phase) for policy in policies)
        or any(rule.expr is not None for rule in policies[0].rules_of(phase))
    }
