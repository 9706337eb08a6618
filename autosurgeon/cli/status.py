"""`autosurgeon status`: how a workspace stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autosurgeon.cli.options import JsonOption, WorkspaceOption


def status(workspace: WorkspaceOption = Path("."), as_json: JsonOption = False) -> None:
    """Show the live pack, wins of base and live per bench and split, excluded benches, and the last run's budget."""
    from autosurgeon.cli.render import print_json, print_table, say
    from autosurgeon.loop.status import read_status
    from autosurgeon.wiring import open_store

    with open_store(workspace) as store:
        found = read_status(store)
    if as_json:
        print_json(found)
        return
    live, budget = found["live"], found["budget"]
    say(
        f"live: version {live['version']}, pack {live['pack'][:12]}, since {live['since']}"
        if live
        else "live: none yet"
    )
    states = ", ".join(f"{count} {state}" for state, count in found["passes"]["states"].items())
    say(f"passes: {found['passes']['total']}" + (f" ({states})" if states else ""))
    if found["passes"]["open"]:
        say(f"open: pass {found['passes']['open'][0]}; `autosurgeon run` goes on with it")
    if budget:
        limits = [f"{budget['passes_done']} of {budget['passes_limit'] or 'any number of'} passes"]
        limits += [f"{budget['hours_limit']:g} hours at most"] if budget["hours_limit"] else []
        ending = f"ended: {budget['end_reason']}" if budget["end_reason"] else "under way"
        say(f"last run: {', '.join(limits)}; {ending}")
    if found["wins"]["live"]:
        print_table("wins, base -> live", ("bench", "split", "base", "live", "tasks"), _rows(found))
    for bench, reason in found["excluded"].items():
        say(f"{bench} is excluded: {reason}")


def _rows(found: dict[str, Any]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for bench, splits in found["wins"]["live"].items():
        for split in ("surgery", "dev", "gate", "canary", "all"):
            if split in splits:
                base = found["wins"]["base"][bench][split]["wins"]
                rows.append((bench, split, base, splits[split]["wins"], splits[split]["tasks"]))
    return rows
