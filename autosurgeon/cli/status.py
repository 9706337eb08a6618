"""`autosurgeon status`: the state of a workspace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autosurgeon.cli.options import JsonOption, WorkspaceOption


def status(workspace: WorkspaceOption = Path("."), as_json: JsonOption = False) -> None:
    """Show the live pack, costs, wins of base and live per bench and split, excluded benches and the last run."""
    from autosurgeon.cli.render import print_json, print_table, say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.loop.search.plateau import plateau_line, read_plateau
    from autosurgeon.loop.stuck import describe_stuck
    from autosurgeon.wiring import open_store, settings_of
    from autosurgeon.workspace_status import read_activity, read_status

    with open_store(workspace) as store:
        found = read_status(store) | read_activity(Workspace(workspace.resolve()))
        loop = settings_of(workspace).loop
        found["plateau"], found["stuck"] = read_plateau(store, loop), describe_stuck(store, loop)
    if as_json:
        print_json(found)
        return
    for line in _lines(found):
        say(line)
    if flat := plateau_line(found["plateau"]):
        say(flat)
    for line in _waiting(found):
        say(line)
    if found["wins"]["live"]:
        print_table("wins, base -> live", ("bench", "split", "base", "live", "tasks"), _rows(found))
    for bench, reason in found["excluded"].items():
        say(f"{bench} is excluded: {reason}")


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each part of the state that is present."""
    from autosurgeon.core.records import InForce

    live, budget, passes = found["live"], found["budget"], found["passes"]
    yield (
        f"live: version {live['version']}, pack {live['pack'][:12]}, since {live['since']}"
        if live
        else "live: none yet"
    )
    if found["in_force"]:
        yield f"in force: {InForce.model_validate(found['in_force']).line}"
    if found["deployed"]:
        yield _deployed(found["deployed"])
    states = ", ".join(f"{count} {state}" for state, count in passes["states"].items())
    yield f"passes: {passes['total']}" + (f" ({states})" if states else "")
    yield f"spent: {_spent(found['spent'])}"
    if passes["open"]:
        yield _open(found)
    if budget:
        limits = [f"{budget['passes_done']} of {budget['passes_limit'] or 'any number of'} passes"]
        limits += [f"{budget['hours_limit']:g} hours at most"] if budget["hours_limit"] else []
        yield f"last run: {', '.join(limits)}; {_ending(budget, found['loop'])}"
    if found["stuck"]:
        yield found["stuck"]["line"]


def _spent(spent: dict[str, Any]) -> str:
    from autosurgeon.core.decision import Cost

    cost = Cost.model_validate(spent)
    tokens = f"{cost.trained_tokens} tokens trained on, {cost.generated_tokens} generated"
    used = ", ".join(f"{name}: {amount}" for name, amount in cost.words.items())
    return f"{cost.seconds / 3600:.2f} hours of stages, {tokens}; {used}"


def _open(found: dict[str, Any]) -> str:
    """Describe the open pass, and its policy if another one is in force now."""
    from autosurgeon.core.records import InForce

    number = found["passes"]["open"][0]
    line = f"open: pass {number}; `autosurgeon run` continues it"
    begun, now = found["passes"]["begun_under"][number], found["in_force"]
    if begun is None or now is None or InForce.model_validate(begun).judges_as(InForce.model_validate(now)):
        return line
    return f"{line}, as it began: {InForce.model_validate(begun).line}"


def _deployed(deployed: dict[str, Any]) -> str:
    pack, when = deployed["pack"][:12], f"{deployed['action']} command, {deployed['at']}"
    if deployed["serves_live"]:
        return f"deployed: pack {pack}, by the {when}"
    if deployed["ended"] and deployed["error"] is None:
        return f"deployed: pack {pack}, which is not live, by the {when}; the next run deploys live"
    problem = deployed["error"] or "it was interrupted"
    return f"ALARM: not deployed: {problem} (pack {pack}, {when}); the next run tries again"


def _ending(budget: dict[str, Any], loop: dict[str, Any] | None) -> str:
    from autosurgeon.cli.render import one_line

    if budget["end_reason"]:
        detail = f": {one_line(budget['end_detail'])}" if budget["end_detail"] else ""
        return f"ended: {budget['end_reason']}{detail}"
    return (
        f"running, process {loop['pid']} since {loop['since']}" if loop else "interrupted; `autosurgeon run` continues"
    )


def _waiting(found: dict[str, Any]) -> list[str]:
    paused, asked = found["paused"], found["asked"]
    if paused and paused["reason"] == "disk":
        return [f"paused: disk, since {paused['since']}; free some space and the run continues"]
    if paused:
        return [f"paused: by {paused['by']} since {paused['since']}; `autosurgeon resume` continues it"]
    if asked and asked["request"] == "pause":
        when = "the run pauses after the running stage" if found["loop"] else "the next run waits"
        return [f"a pause was requested by {asked['by']} at {asked['at']}: {when}; `autosurgeon resume` cancels it"]
    if asked and asked["request"] == "stop" and found["loop"]:
        return [f"a stop was requested by {asked['by']}: the run ends after the running stage"]
    return []


def _rows(found: dict[str, Any]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for bench, splits in found["wins"]["live"].items():
        for split in ("surgery", "dev", "gate", "canary", "all"):
            if split in splits:
                base = found["wins"]["base"][bench][split]["wins"]
                rows.append((bench, split, base, splits[split]["wins"], splits[split]["tasks"]))
    return rows
