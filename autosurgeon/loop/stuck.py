"""A standstill: passes in a row that the same rule ended for the same cause, over all runs."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from autosurgeon.core.decision import Judgement, RuleResult, Verdict
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.records import PassRecord
from autosurgeon.policy.facts import fact_of
from autosurgeon.policy.judge import VALIDITY, verdict_of
from autosurgeon.policy.rules import check
from autosurgeon.sections import LoopSettings
from autosurgeon.store.sqlstore import SqlStore

MOST_READ = 100
"""The most passes that are read; a longer row counts as this many."""
MOST_SHOWN = 3
"""The most names of a cause that are shown."""
GAINS = ("gate.", "total.", "slice.", "provisional.", "bench.worst_net")
"""Prefixes of facts about a candidate's gains; a hold by one of them is doubt and no fault."""
Kind = Literal["named", "fact", "missing", "error"]


class Cause(NamedTuple):
    """Why a rule ended a pass."""

    rule: str
    kind: Kind
    """The kind of the names: counted items such as lost anchors, or facts: out of bounds, missing, in error."""
    names: tuple[str, ...]
    is_doubt: bool = False
    """Whether the pass was judged completely and held since it gained too little."""

    def shared_with(self, older: Cause) -> Cause | None:
        """The common part of both; None where they are different causes."""
        if (self.rule, self.kind) != (older.rule, older.kind):
            return None
        names = tuple(name for name in self.names if name in older.names)
        return self._replace(names=names) if names else None

    def __str__(self) -> str:
        more = f" and {len(self.names) - MOST_SHOWN} more" if len(self.names) > MOST_SHOWN else ""
        state = {"missing": " (missing)", "error": " (in error)"}.get(self.kind, "")
        return f"{self.rule} by {', '.join(self.names[:MOST_SHOWN])}{more}{state}"


class Row(NamedTuple):
    """The newest passes in a row that ended for one cause."""

    cause: Cause
    passes: int
    newest: int
    """The number of the newest of them."""
    limit: int | None
    """The number of passes that is a standstill; None where none is."""

    @property
    def is_stuck(self) -> bool:
        """Whether they are a standstill."""
        return self.limit is not None and self.passes >= self.limit

    @property
    def may_end(self) -> bool:
        """Whether the setting may act on the standstill.

        A row of passes that were judged completely and gained too little is only reported: the next recipe may gain,
        and a plateau or passes without gain end such a search.
        """
        return not self.cause.is_doubt

    @property
    def line(self) -> str:
        """The standstill in words."""
        return f"stuck: {self.cause}: {self.passes} passes in a row ended by this rule for this cause"


def read_row(store: SqlStore, loop: LoopSettings) -> Row | None:
    """The newest passes in a row that ended for one cause; None where the newest was promoted, or none has ended.

    A pass that the world failed, or that was given up, neither adds to a row nor ends it. A pass with another live
    pack belongs to another row, since it was compared with other wins.
    """
    limit = loop.stuck_passes or None
    row: Row | None = None
    live = None
    for record in reversed(store.last_passes(max(MOST_READ, limit or 0))):
        if is_uninformative(record):
            continue
        cause = cause_of(store, record)
        if row is not None and cause is not None:
            cause = row.cause.shared_with(cause) if record.live_before == live else None
        if cause is None:
            break
        live = record.live_before
        row = Row(cause, row.passes + 1 if row else 1, row.newest if row else record.number, limit)
    return row


def describe_stuck(store: SqlStore, loop: LoopSettings) -> dict[str, Any] | None:
    """The standstill of the newest passes as JSON; None without one."""
    row = read_row(store, loop)
    if row is None or not row.is_stuck:
        return None
    cause = row.cause
    return {
        "name": str(cause),
        "rule": cause.rule,
        "kind": cause.kind,
        "cause": list(cause.names),
        "passes": row.passes,
        "then": loop.on_stuck if row.may_end else "none",
        "line": row.line,
    }


def is_uninformative(record: PassRecord) -> bool:
    """Whether a pass has not ended, was given up, or failed for reasons of the world, its watch too."""
    if not record.state.is_finished or record.state in (PassState.FAILED, PassState.SUPERSEDED):
        return True
    return record.state == PassState.REVERTED and record.feedback is not None and record.feedback.failed


def is_unjudged(store: SqlStore, record: PassRecord) -> bool:
    """Whether a pass ended without a judgement: the world failed, or evidence was missing, in error or invalid.

    A pass that a known fact decided counts as judged, even if other facts were missing.
    """
    if record.state in (PassState.FAILED, PassState.SUPERSEDED) or record.state == PassState.CONFIRMED:
        return record.state == PassState.FAILED
    judgement = store.last_refusal(record.number)
    if judgement is None:
        return is_uninformative(record)
    if judgement.verdict != Verdict.INCONCLUSIVE:
        return judgement.verdict in (Verdict.ERROR, Verdict.INVALID)
    cause = cause_in(judgement)
    return cause is None or cause.kind == "missing"


def cause_of(store: SqlStore, record: PassRecord) -> Cause | None:
    """Why a pass ended; None where no rule ended it, as for a confirmed promotion."""
    if record.state not in (PassState.REJECTED, PassState.HELD, PassState.REVERTED):
        return None
    judgement = store.last_refusal(record.number)
    return None if judgement is None else cause_in(judgement)


def cause_in(judgement: Judgement) -> Cause | None:
    """Why a judgement refused: a rule in error, or else the first failed rule."""
    deciding = [rule for rule in judgement.rules if verdict_of(rule) == judgement.verdict]
    if deciding:
        return _of_rule(min(deciding, key=lambda rule: rule.result == "missing"), judgement)
    for validity in VALIDITY:
        if validity.phase == judgement.phase and check(validity.bounded, judgement.evidence).holds is None:
            return Cause(validity.rule_id, "missing", (validity.bounded.fact,))
    return None


def _of_rule(rule: RuleResult, judgement: Judgement) -> Cause:
    name, facts = rule.rule_id.partition("#")[0], tuple(rule.fact.split(" and "))
    if rule.result == "error":
        return Cause(name, "error", facts)
    if rule.result == "missing":
        return Cause(name, "missing", tuple(f for f in facts if judgement.evidence.get(f) is None) or facts)
    for fact in filter(None, map(fact_of, facts)):
        counted = judgement.evidence.get(fact.named_by or "")
        if isinstance(counted, tuple) and counted:
            return Cause(name, "named", counted)
    held = judgement.verdict == Verdict.INCONCLUSIVE and judgement.phase == "promotion"
    return Cause(name, "fact", facts, is_doubt=held and any(fact.startswith(GAINS) for fact in facts))
