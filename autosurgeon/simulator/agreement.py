"""Comparison of a recorded loop with one that replays its task results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from autosurgeon.config import Settings
from autosurgeon.core.decision import Decision
from autosurgeon.core.records import PassRecord
from autosurgeon.core.task import Task
from autosurgeon.errors import UserError
from autosurgeon.loop.engine.fingerprint import contract_of
from autosurgeon.policy.schema import Policy
from autosurgeon.store.sqlstore import SqlStore

OF_THE_MACHINE = frozenset({"budget.hours", "budget.disk_gib"})
"""Facts that do not depend on task results."""


class Difference(NamedTuple):
    """A difference of the two loops."""

    decision: str
    what: str
    recorded: Any
    repeated: Any


def refuse_what_cannot_repeat(store: SqlStore, settings: Settings, policy: Policy, tasks: Mapping[str, Task]) -> int:
    """The number of passes to run again.

    Raises:
        UserError: passes are open or began under another policy, other tasks or settings; or decisions depend on an
            act of a person, a deployed runtime or a damaged pack, which task results do not record.

    """
    records = store.passes()
    if not records or not all(record.state.is_finished for record in records):
        got = "no pass" if not records else "an open one"
        raise UserError("only passes that ended can be run again", got=got, wanted="`autosurgeon run` on it first")
    now = contract_of(settings, policy, tasks)
    for record in records:
        changed = [what for what in record.contract.changed(now) if what != "code"] if record.contract else ["unknown"]
        if changed:
            raise UserError(
                f"pass {record.number} began under another policy or other settings",
                got=f"another {', '.join(changed)}",
                wanted="the --seed, --policy, --set and --config of that run",
            )
    by_hand = [d.decision_id for d in store.decisions() if d.judgement is None or d.action == "override"]
    if by_hand or store.quarantines():
        got = by_hand[0] if by_hand else "a quarantine"
        raise UserError("decisions here depend on an act of a person, a runtime or a damaged pack", got=got)
    return len(records)


def differences(
    recorded: Iterable[Decision],
    repeated: Iterable[Decision],
    passes: tuple[Iterable[PassRecord], Iterable[PassRecord]],
) -> list[Difference]:
    """The differences of two loops, in the order of the first; empty where all decisions and passes agree.

    Compared are the verdict with its evidence and each rule's result, the action, the flips, the alpha and the version
    of live; for passes the recipe, the end and the feedback. Names of packs and times are left out.
    """
    pairs = (
        ({d.decision_id: _decided(d) for d in recorded}, {d.decision_id: _decided(d) for d in repeated}),
        ({f"pass {r.number}": _ended(r) for r in passes[0]}, {f"pass {r.number}": _ended(r) for r in passes[1]}),
    )
    return [
        Difference(name, what, before.get(name, {}).get(what), after.get(name, {}).get(what))
        for before, after in pairs
        for name in dict.fromkeys((*before, *after))
        for what in sorted(before.get(name, {}).keys() | after.get(name, {}).keys())
        if before.get(name, {}).get(what) != after.get(name, {}).get(what)
    ]


def _decided(decision: Decision) -> dict[str, Any]:
    compared: dict[str, Any] = decision.model_dump(
        mode="json", include={"action", "reason", "live_version", "lost", "gained", "alpha", "pass_number"}
    )
    judged = decision.judgement
    if judged is not None:
        compared |= {"phase": judged.phase, "verdict": judged.verdict.value, "policy": judged.policy_digest}
        compared |= {f"rule {rule.rule_id}": rule.result for rule in judged.rules}
        compared |= {name: value for name, value in judged.evidence.items() if name not in OF_THE_MACHINE}
    return compared


def _ended(record: PassRecord) -> dict[str, Any]:
    compared: dict[str, Any] = record.model_dump(mode="json", include={"state", "reason", "recipe", "feedback"})
    return compared
