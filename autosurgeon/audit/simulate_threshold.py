"""Simulation of how another threshold would have changed past decisions."""

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
    """The outcomes of the decisions at one value of the threshold."""

    value: float
    accept: int = 0
    hold: int = 0
    reject: int = 0
    """Includes errors and invalid evidence."""
    unreplayable: int = 0
    """Decisions that cannot be replayed."""
    stop: int = 0
    """Decisions at which a rule would have ended the training, regardless of the verdict."""
    flips: int = 0
    """Decisions whose verdict differs from the recorded one."""

    def after(self, replayed: Replayed) -> Tally:
        """Return the tally with one more decision."""
        found = replayed.after
        return Tally(
            self.value,
            self.accept + (found == Verdict.ACCEPT),
            self.hold + (found == Verdict.INCONCLUSIVE),
            self.reject + (found in (Verdict.REJECT, Verdict.ERROR, Verdict.INVALID)),
            self.unreplayable + (found is None),
            self.stop + replayed.stops,
            self.flips + replayed.flipped,
        )


def parse_range(text: str) -> list[float]:
    """Parse LOW:HIGH[:STEPS] into values; without STEPS, a short range with whole ends gives whole values."""
    parts = text.split(":")
    try:
        low, high = float(parts[0]), float(parts[1])
        steps = int(parts[2]) if len(parts) == 3 else None
        fits = len(parts) <= 3 and isfinite(low) and isfinite(high) and low < high
        if not fits or not 2 <= (steps or 2) <= MOST_STEPS:
            raise ValueError
    except (ValueError, IndexError) as error:
        wanted = f"LOW:HIGH[:STEPS] with LOW below HIGH and 2 to {MOST_STEPS} steps, such as 0:10:11"
        raise UserError("this is not a range", got=repr(text), wanted=wanted) from error
    if steps is None:
        whole = low.is_integer() and high.is_integer() and USUAL_STEPS / 3 < high - low < 2 * USUAL_STEPS
        steps = int(high - low) + 1 if whole else USUAL_STEPS
    # Rounded, so that 0.1 + 2 * 0.1 is 0.3.
    values = [float(f"{low + (high - low) * step / (steps - 1):.12g}") for step in range(steps)]
    return [int(value) if value.is_integer() else value for value in values]


def with_bound(policy: Policy, rule_id: str, value: float) -> Policy:
    """Return the policy with another bound of one rule; UserError where that rule has no numeric bound."""
    found = next((rule for rule in policy.rules if rule.id == rule_id), None)
    if found is None:
        known = nearest(rule_id, (rule.id for rule in policy.rules))
        raise UserError("there is no such rule", got=repr(rule_id), wanted=known)
    bound = next((name for name in ("at_most", "at_least") if getattr(found, name) is not None), None)
    if bound is None:
        got = f"{rule_id}, which wants {found.expr or found.bound}"
        raise UserError("this rule has no numeric bound", got=got, wanted="a rule with at_most or at_least")
    moved = Rule.model_validate(found.model_dump() | {bound: value})
    rules = tuple(moved if rule.id == rule_id else rule for rule in policy.rules)
    return policy.model_copy(update={"rules": rules})


def simulate(variants: Sequence[tuple[float, Policy]], recorded: Iterable[Recorded]) -> list[Tally]:
    """Tally the judged decisions under each variant; each decision is read once.

    Args:
        variants: policies by the value of their threshold, at least one.
        recorded: decisions, in any order.

    """
    tallies = [Tally(value) for value, _ in variants]
    replayers = [Replayer(policy) for _, policy in variants]
    moving = _moving_phases([policy for _, policy in variants])
    for one in recorded:
        if one.phase is None:
            continue
        # The threshold does not affect the phases of most decisions: these are judged once for all variants.
        usual = None if one.phase in moving else replayers[0].replay(one)
        tallies = [
            tally.after(usual or replayer.replay(one)) for tally, replayer in zip(tallies, replayers, strict=True)
        ]
    return tallies


def _moving_phases(policies: Sequence[Policy]) -> set[Phase]:
    """Find the phases that the policies may judge differently, by their rules or parameters."""
    return {
        phase
        for phase in PHASES
        if any(policy.rules_of(phase) != policies[0].rules_of(phase) for policy in policies)
        or any(rule.expr is not None for rule in policies[0].rules_of(phase))
    }
