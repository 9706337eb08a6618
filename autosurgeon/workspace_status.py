"""The state of a workspace, for `status` and the summary of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autosurgeon.core.envelope import Envelope
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.workspace import Workspace
from autosurgeon.loop.baseline.baseline import exclusions
from autosurgeon.loop.engine.in_force import read_in_force
from autosurgeon.loop.engine.stop_requests import asked, paused
from autosurgeon.store.lock import holder_of
from autosurgeon.store.sqlstore import SqlStore

Tally = dict[str, dict[str, dict[str, int]]]
"""bench -> split -> {wins, tasks}"""


def tally(results: Mapping[str, Envelope]) -> Tally:
    """Count wins and tasks per bench and split, and over all splits."""
    counts: Tally = {}
    for envelope in results.values():
        for split in (envelope.split, "all"):
            cell = counts.setdefault(envelope.bench, {}).setdefault(split, {"wins": 0, "tasks": 0})
            cell["wins"] += envelope.passed
            cell["tasks"] += 1
    return dict(sorted(counts.items()))


def read_status(store: SqlStore) -> dict[str, Any]:
    """Read what is in force, passes, live pack, wins of base and live, excluded benches and the last run."""
    counts, base, live, run = store.pass_counts(), store.base_pack(), store.live(), store.last_run()
    base_results = store.envelopes(base) if base else {}
    in_force, still_open = read_in_force(store), store.open_passes()
    begun = {record.number: store.in_force_in(record) for record in still_open}
    return {
        "in_force": in_force.model_dump(mode="json") if in_force else None,
        "live": {"version": live.version, "pack": live.pack, "since": live.at} if live else None,
        "spent": store.spent().model_dump(mode="json"),
        "deployed": _deployed(store, live.pack if live else None),
        "base": base,
        "passes": {
            "total": sum(counts.values()),
            "states": dict(sorted((state.value, count) for state, count in counts.items())),
            "open": list(begun),
            "begun_under": {number: one.model_dump(mode="json") if one else None for number, one in begun.items()},
        },
        "promoted": store.numbers_in(PassState.CONFIRMED),
        "wins": {
            "base": tally(base_results),
            "live": tally(store.envelopes(live.pack)) if live else {},
        },
        "excluded": exclusions(base_results),
        "budget": run.model_dump(mode="json") if run else None,
    }


def _deployed(store: SqlStore, live: str | None) -> dict[str, Any] | None:
    """Read the last deployment, and whether it serves the live pack; None without one."""
    last = store.last_deployment()
    if last is None:
        return None
    deployment, at = last
    serves = live is not None and deployment.serves(live)
    return deployment.model_dump(mode="json") | {"at": at, "serves_live": serves}


def read_activity(workspace: Workspace) -> dict[str, Any]:
    """Read the process that runs on the workspace, its pause and its last request."""
    holder, waiting, request = holder_of(workspace.lock), paused(workspace), asked(workspace)
    return {
        "loop": {"pid": holder.pid, "since": holder.since} if holder else None,
        "paused": waiting.model_dump(include={"reason", "by", "since"}) if waiting else None,
        "asked": {"request": request.word, "by": request.by, "at": request.at} if request else None,
    }
