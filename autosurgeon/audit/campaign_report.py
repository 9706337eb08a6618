"""The report of a campaign: every pass of a workspace side by side, and what each rule refused and saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from autosurgeon.audit.mask import Masked
from autosurgeon.audit.pass_report import LiveWins, deciding_rule, describe_recipe, flips_of, refusals_of
from autosurgeon.audit.rotation import Unvouched
from autosurgeon.core.decision import Alpha, Cost, Decision, Judgement, Verdict
from autosurgeon.core.person import PersonAct
from autosurgeon.core.records import InForce, PassRecord
from autosurgeon.core.value import Value

MOST_FLIPPING = 20


class PassLine(Value):
    """One pass in the campaign's table."""

    number: int
    state: str
    recipe: str
    phase: str = ""
    """The phase of the judgement that ended the pass."""
    rule: str = ""
    """The first rule that refused the pass; empty where no rule did."""
    margin: float | None = None
    lost: int | None = None
    """None where no candidate ran."""
    gained: int | None = None
    cost: Cost
    overridden: bool = False


class RuleCount(Value):
    """How often a rule refused or objected, and the cost that its refusals saved."""

    rule_id: str
    phase: str
    refused: int
    """Passes in which it was the first rule to refuse."""
    objected: int
    """Judgements in which the rule was enforced and broken, first or not."""
    saved: Cost


class TaskFlips(Value):
    """How often a task was lost and gained."""

    task_id: str
    lost: int
    gained: int


class Begun(Value):
    """Consecutive passes that began under the same policy, parameters and seed."""

    first: int
    last: int
    in_force: InForce


class CampaignReport(Value):
    """Every pass of a workspace."""

    in_force: InForce | None = None
    """The policy, parameters and seed of the next pass; None where no run has recorded them."""
    begun: tuple[Begun, ...] = ()
    """The policy, parameters and seed of each stretch of passes, oldest first."""
    passes: tuple[PassLine, ...] = ()
    trend: tuple[LiveWins, ...] = ()
    looks: tuple[Alpha, ...] = ()
    """Each look at the benches with the alpha that it cost."""
    rules: tuple[RuleCount, ...] = ()
    flips: tuple[TaskFlips, ...] = ()
    """The tasks that flip most often, over all candidates."""
    overrides: tuple[Decision, ...] = ()
    people: tuple[PersonAct, ...] = ()
    """Acts of people, oldest first."""
    unvouched: tuple[Unvouched, ...] = ()
    """Key rotations that the previous key did not sign."""
    spent: Cost = Cost()
    """The cost of all stages, in passes and outside of them, as `status` shows it."""
    outside: Cost = Cost()
    """The part outside of passes: import and bench of a base, confirmation of a live pack's wins."""
    stuck: str = ""
    """A description of the standstill of the newest passes; empty where there is none."""
    masked: tuple[Masked, ...] = ()
    """What was masked in the report."""

    @property
    def states(self) -> dict[str, int]:
        """The number of passes by state."""
        return dict(sorted(Counter(line.state for line in self.passes).items()))

    @property
    def saved(self) -> Cost:
        """The cost that all refusals saved together."""
        return sum((rule.saved for rule in self.rules), Cost())


def build_campaign_report(
    records: Sequence[PassRecord],
    decisions: Sequence[Decision],
    costs: Mapping[int | None, Cost],
    trend: Sequence[LiveWins],
    *,
    spent: Cost,
) -> CampaignReport:
    """Build the report of a campaign from what the store holds.

    Args:
        records: every pass, oldest first.
        decisions: every decision, oldest first.
        costs: cost by pass number; None holds the stages outside of passes.
        trend: every live version, oldest first.
        spent: cost of all stages of the workspace.

    """
    by_pass: dict[int, list[Decision]] = {record.number: [] for record in records}
    for decision in decisions:
        if decision.pass_number in by_pass:
            by_pass[decision.pass_number].append(decision)
    overrides = [decision for decision in decisions if decision.action == "override"]
    looks = {decision.alpha.look: decision.alpha for decision in decisions if decision.alpha and decision.alpha.spent}
    return CampaignReport(
        passes=tuple(_line(r, by_pass[r.number], costs.get(r.number, Cost())) for r in records),
        trend=tuple(trend),
        looks=tuple(looks[look] for look in sorted(looks)),
        rules=count_rules(decisions),
        flips=_most_flipping(by_pass.values()),
        overrides=tuple(overrides),
        spent=spent,
        outside=costs.get(None, Cost()),
    )


def group_begun(begun_under: Mapping[int, InForce]) -> tuple[Begun, ...]:
    """Group consecutive passes that began under the same policy, parameters and seed."""
    found: list[Begun] = []
    for number, in_force in sorted(begun_under.items()):
        if found and found[-1].in_force == in_force:
            found[-1] = found[-1].model_copy(update={"last": number})
        else:
            found.append(Begun(first=number, last=number, in_force=in_force))
    return tuple(found)


def _refusals(decisions: Sequence[Decision]) -> list[tuple[Decision, Judgement]]:
    return [(d, d.judgement) for d in decisions if d.judgement and d.judgement.verdict != Verdict.ACCEPT]


def _line(record: PassRecord, decisions: Sequence[Decision], cost: Cost) -> PassLine:
    refusals, flips = refusals_of(record, decisions), flips_of(decisions)
    rule = deciding_rule(refusals[-1][1]) if refusals else None
    return PassLine(
        number=record.number,
        state=record.state.value,
        recipe=describe_recipe(record.recipe),
        phase=refusals[-1][1].phase if refusals else "",
        rule=rule.rule_id if rule else "",
        margin=rule.margin if rule else None,
        lost=len(flips[0]) if flips else None,
        gained=len(flips[1]) if flips else None,
        cost=cost,
        overridden=any(decision.action == "override" for decision in decisions),
    )


def count_rules(decisions: Sequence[Decision]) -> tuple[RuleCount, ...]:
    """Count refusals and objections by rule, most refusals first; a clause of an expression counts for its rule."""
    first: Counter[tuple[str, str]] = Counter()
    objected: Counter[tuple[str, str]] = Counter()
    saved: dict[tuple[str, str], Cost] = {}
    for decision, judgement in _refusals(decisions):
        objected.update({(_rule_of(rule.rule_id), judgement.phase) for rule in judgement.broken(mode="enforce")})
        decided = deciding_rule(judgement)
        if decided is not None:
            key = (_rule_of(decided.rule_id), judgement.phase)
            first[key] += 1
            saved[key] = saved.get(key, Cost()) + (decision.avoided or Cost())
    return tuple(
        RuleCount(rule_id=rule, phase=phase, refused=first[key], objected=objected[key], saved=saved.get(key, Cost()))
        for key in sorted(first.keys() | objected.keys(), key=lambda key: (-first[key], -objected[key], key))
        for rule, phase in [key]
    )


def _rule_of(rule_id: str) -> str:
    return rule_id.split("#", maxsplit=1)[0]


def _most_flipping(passes: Iterable[Sequence[Decision]]) -> tuple[TaskFlips, ...]:
    lost: Counter[str] = Counter()
    gained: Counter[str] = Counter()
    for decisions in passes:
        was_lost, was_gained = flips_of(decisions) or ([], [])
        lost.update(was_lost)
        gained.update(was_gained)
    often = sorted(lost.keys() | gained.keys(), key=lambda task: (-(lost[task] + gained[task]), task))
    return tuple(TaskFlips(task_id=t, lost=lost[t], gained=gained[t]) for t in often[:MOST_FLIPPING])
