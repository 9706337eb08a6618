"""Replay: past decisions are judged again from recorded facts; nothing is guessed.

A fact that is recorded as null was measured as missing and is judged as missing. A fact whose name is absent was not
recorded: a rule that needs it cannot be replayed. Then the decision cannot be replayed either, unless the recorded
facts refuse it already, since no further fact turns a refusal into an acceptance.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from autosurgeon.audit.recorded import Recorded
from autosurgeon.core.decision import Evidence, Judgement, Phase, RuleResult, Verdict, worst
from autosurgeon.core.value import Value
from autosurgeon.policy.expression import clauses_of
from autosurgeon.policy.facts import fact_of
from autosurgeon.policy.judge import REMEDY, VALIDITY, judge, verdict_of
from autosurgeon.policy.rules import facts_of, is_no_number
from autosurgeon.policy.schema import Policy, Rule

STOP = ("stop", "failed", "enforce")
REFUSALS = (Verdict.INVALID, Verdict.ERROR, Verdict.REJECT)
"""Verdicts that hold regardless of unrecorded facts."""


class Replayed(Value):
    """A decision as recorded and as the policy decides it now."""

    name: str
    at: str
    phase: Phase | None
    before: Verdict | None
    """The recorded verdict; None without a judgement, or for evidence alone."""
    after: Verdict | None
    """The verdict now; None without a judgement, or where facts are unrecorded."""
    as_recorded: Verdict | None
    """The verdict of the replayable rules, where the whole verdict is unknown; None where no rule is replayable."""
    stops: bool = False
    """Whether a rule would have ended the training at this point."""
    flipped: bool = False
    rule: str = ""
    """The first rule that decides, or stops."""
    reason: str = ""
    lesson: str = ""
    also: tuple[str, ...] = ()
    """The other rules with the same verdict."""
    silent: tuple[str, ...] = ()
    """Rules of the verdict that cannot be replayed."""
    unrecorded: tuple[str, ...] = ()
    """The facts that these rules lack, and recorded facts unknown to this version."""
    note: str = ""

    @property
    def outcome(self) -> str:
        """A short description of the outcome."""
        if self.phase is None:
            return "not judged"
        if self.after is not None:
            return f"{self.after.value}, stop" if self.stops and self.after not in REFUSALS else self.after.value
        stop = ", stop" if self.stops else ""
        return f"{self.as_recorded.value}{stop}, as far as recorded" if self.as_recorded else "cannot be replayed"

    @property
    def refuses(self) -> bool:
        """Whether the pass or its training would certainly have ended here."""
        return self.stops or self.after in REFUSALS


class Need(NamedTuple):
    """The facts that a rule or clause needs."""

    when: str
    facts: tuple[str, ...]


class Replayer:
    """Replays decisions under one policy; caches the facts that its rules need."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._needs: dict[Phase, dict[str, Need]] = {}

    def replay(self, recorded: Recorded) -> Replayed:
        """Judge a decision again."""
        common = {"name": recorded.name, "at": recorded.at, "phase": recorded.phase, "note": recorded.note}
        if recorded.phase is None:
            return Replayed(before=None, after=None, as_recorded=None, **common)
        judgement = judge(self.policy, recorded.phase, recorded.evidence)
        silent = self._silent(judgement)
        lacking = [fact for result in silent.values() for fact in result]
        lacking += sorted(name for name in recorded.evidence if fact_of(name) is None)
        certain = judgement.verdict in REFUSALS or not lacking
        verdict = judgement.verdict if certain else _verdict_of([r for r in judgement.rules if r.rule_id not in silent])
        agreeing = [r for r in judgement.rules if r.rule_id not in silent and verdict_of(r) == verdict]
        deciding = [] if verdict == Verdict.ACCEPT else agreeing
        stop = next((r for r in judgement.rules if (r.otherwise, r.result, r.mode) == STOP), None)
        shown = next(iter(deciding), stop)
        return Replayed(
            before=recorded.verdict,
            after=verdict if certain else None,
            as_recorded=None if certain else verdict,
            stops=stop is not None,
            flipped=certain and recorded.verdict not in (None, verdict),
            rule=shown.rule_id if shown else "",
            reason=_reason(shown, judgement, certain=certain),
            lesson=shown.lesson if shown else "",
            also=tuple(result.rule_id for result in deciding[1:]),
            silent=tuple(silent),
            unrecorded=tuple(dict.fromkeys(lacking)),
            **common,
        )

    def _silent(self, judgement: Judgement) -> dict[str, list[str]]:
        """Find the rules that could change the verdict and cannot be replayed, with their unrecorded facts."""
        evidence = judgement.evidence
        needs = self._needs_of(judgement.phase)
        silent = {}
        for result in judgement.rules:
            if result.result != "missing" or result.mode == "audit" or result.otherwise not in REMEDY:
                continue
            lacking = _lacking(needs[result.rule_id], evidence)
            if lacking:
                silent[result.rule_id] = lacking
        for validity in VALIDITY:
            fact = validity.bounded.fact
            if validity.phase == judgement.phase and fact not in evidence:
                silent[validity.rule_id] = [fact]
        return silent

    def _needs_of(self, phase: Phase) -> dict[str, Need]:
        if phase not in self._needs:
            self._needs[phase] = dict(need for rule in self.policy.rules_of(phase) for need in _needs(rule))
        return self._needs[phase]


def _needs(rule: Rule) -> Iterable[tuple[str, Need]]:
    when = rule.when.fact if rule.when else ""
    if rule.expr is None:
        return [(rule.id, Need(when, (rule.fact,)))]
    clauses = enumerate(clauses_of(rule.expr), start=1)
    return [(f"{rule.id}#{number}", Need(when, facts_of(clause))) for number, clause in clauses]


def _lacking(need: Need, evidence: Evidence) -> list[str]:
    """List unrecorded facts; empty where a fact recorded as missing decides the rule already."""
    if need.when and need.when not in evidence:
        return [need.when, *(fact for fact in need.facts if fact not in evidence)]
    named = (need.when, *need.facts) if need.when else need.facts
    if any(fact in evidence and (evidence[fact] is None or is_no_number(evidence[fact])) for fact in named):
        return []
    return [fact for fact in need.facts if fact not in evidence]


def _verdict_of(results: list[RuleResult]) -> Verdict | None:
    """Combine the verdicts of the replayable rules; None without any."""
    return worst([verdict_of(result) for result in results]) if results else None


def _reason(shown: RuleResult | None, judgement: Judgement, *, certain: bool) -> str:
    if shown is not None:
        return f"{shown.fact} is {shown.seen}, wanted {shown.bound}" if shown.result != "error" else shown.reason
    return judgement.reason if certain else ""


class Summary(NamedTuple):
    """Counts of a replay."""

    decisions: int = 0
    flips: int = 0
    unreplayable: int = 0
    """Decisions that cannot be replayed."""
    unjudged: int = 0
    """Overrides and acts without a judgement."""

    def after(self, replayed: Replayed) -> Summary:
        """Return the counts with one more decision."""
        return Summary(
            self.decisions + 1,
            self.flips + replayed.flipped,
            self.unreplayable + (replayed.phase is not None and replayed.after is None),
            self.unjudged + (replayed.phase is None),
        )
