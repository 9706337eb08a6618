"""Filters of decisions: by verdict, by a rule that objected, by time."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Self

from autosurgeon.audit.recorded import moment
from autosurgeon.core.decision import Decision, Verdict
from autosurgeon.errors import UserError


class Filters(NamedTuple):
    """The wanted properties of a decision; None accepts any."""

    verdict: str | None
    rule: str | None
    since: datetime | None
    until: datetime | None

    @classmethod
    def of(cls, *, verdict: str | None, rule: str | None, since: str, until: str) -> Self:
        """Parse what a person typed; UserError for an unknown verdict or an invalid time."""
        if verdict is not None and verdict not in list(Verdict):
            raise UserError("there is no such verdict", got=repr(verdict), wanted=", ".join(Verdict))
        return cls(verdict, rule, moment(since) if since else None, moment(until) if until else None)

    def keep(self, decision: Decision) -> bool:
        """Whether the decision passes the filters."""
        judgement = decision.judgement
        return (
            (self.verdict is None or (judgement is not None and judgement.verdict == self.verdict))
            and (self.rule is None or (judgement is not None and self.rule in {r.rule_id for r in judgement.broken()}))
            and self.covers(decision.at)
        )

    def covers(self, time: str) -> bool:
        """Whether the time, ISO 8601, is within the wanted range."""
        at = moment(time)
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)
