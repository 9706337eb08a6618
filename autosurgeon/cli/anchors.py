"""`autosurgeon anchors`: the guarded wins, and why they are guarded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from autosurgeon.cli.options import ConfigOption, JsonOption, WorkspaceOption, encodable

if TYPE_CHECKING:
    from autosurgeon.loop.baseline.anchor_ledger import Entry

app = typer.Typer(no_args_is_help=True, help="The anchor ledger: the guarded wins, and why they are guarded.")


def _entries(workspace: Path, config: Path | None, *, history: bool) -> dict[str, Entry]:
    """Read the ledger of the workspace's live pack as the next pass does."""
    from autosurgeon.errors import UserError
    from autosurgeon.loop.baseline.anchor_ledger import read_known, read_ledger
    from autosurgeon.loop.baseline.baseline import exclusions
    from autosurgeon.loop.engine.in_force import read_in_force
    from autosurgeon.store.database import utc_now
    from autosurgeon.wiring import open_store, settings_of, tasks_in

    settings = settings_of(workspace, config)
    tasks = tasks_in(workspace, settings)
    with open_store(workspace) as store:
        live, base = store.live(), store.base_pack()
        if live is None or base is None:
            raise UserError("no pack is live yet", wanted="`autosurgeon run` first", where=workspace)
        counted = {task.bench for task in tasks.values()} - exclusions(store.envelopes(base)).keys()
        known = read_known(store, tasks, live.pack, settings.anchors, history=history)
        in_force = read_in_force(store)
    seed = settings.seed if in_force is None or in_force.seed is None else in_force.seed
    return read_ledger(tasks, known, settings.anchors, counted=counted, seed=seed, now=utc_now())


@app.command("list")
def list_anchors(
    state: Annotated[
        str | None, typer.Option("--state", help="Only this state, such as anchor or provisional.")
    ] = None,
    family: Annotated[str | None, typer.Option("--family", help="Only this family.")] = None,
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the live pack's wins and their states; --state also lists tasks that it fails."""
    from autosurgeon.cli.render import print_json, print_table, say
    from autosurgeon.errors import UserError, nearest
    from autosurgeon.loop.baseline.anchor_ledger import State, coverage

    states = get_args(State)
    if state is not None and state not in states:
        raise UserError("there is no such state", got=repr(state), wanted=nearest(state, states))
    entries = _entries(workspace, config, history=False)
    families = coverage(entries.values())
    if family is not None and family not in families:
        raise UserError("there is no such family", got=repr(family), wanted=nearest(family, families))
    shown = [
        entry
        for entry in entries.values()
        if (entry.state == state if state else entry.wins) and (family is None or entry.family == family)
    ]
    if as_json:
        print_json({"anchors": [entry.model_dump(mode="json") for entry in shown], "coverage": families})
        return
    rows = [
        (e.task_id, e.split, e.family, e.state, "hidden" if e.hidden else "", e.wins, _rate(e), e.why) for e in shown
    ]
    columns = ("task", "split", "family", "state", "hidden", "live wins", "flakes", "why")
    print_table("anchors", columns, rows)
    cells = [(name, c["tasks"], c["wins"], c["anchors"], c["hidden"]) for name, c in families.items()]
    print_table("coverage", ("family", "tasks", "wins", "anchors", "hidden"), cells)
    total = {name: sum(cell[name] for cell in families.values()) for name in ("anchors", "wins")}
    say(f"{total['anchors']} anchors of {total['wins']} wins")


def _rate(entry: Entry) -> str:
    return f"{entry.flakes}/{entry.runs}" if entry.runs else ""


def _entry(task: str, entries: dict[str, Entry]) -> Entry:
    from autosurgeon.errors import UserError, nearest

    if task not in entries:
        raise UserError("there is no such task on a counted bench", got=repr(task), wanted=nearest(task, entries))
    return entries[task]


@app.command("show")
def show_anchor(
    task: Annotated[str, typer.Argument(help="The task's id.")],
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one task: its state and the reason, its samples and flakes, and its result on every occasion."""
    from autosurgeon.cli.render import print_json, print_table, say

    entry = _entry(task, _entries(workspace, config, history=True))
    if as_json:
        print_json(entry.model_dump(mode="json"))
        return
    say(f"{entry.task_id}: {entry.state}: {entry.why}")
    say(f"bench {entry.bench}, split {entry.split}, family {entry.family}")
    say(f"won by {entry.wins} live packs in a row; samples passed: {entry.passed} of {entry.samples}")
    say(
        f"flakes: {entry.flakes} of {entry.runs} runs; {'used' if entry.trained else 'never used'} as a training row"
        + _hidden(entry)
    )
    rows = [(occasion, "passed" if passed else "failed") for occasion, passed in entry.history]
    print_table("results, oldest first", ("occasion", "result"), rows)


def _hidden(entry: Entry) -> str:
    return "; hidden from training" if entry.hidden else ""


@app.command("quarantine")
def quarantine(
    task: Annotated[str, typer.Argument(help="The task's id.")],
    reason: Annotated[str, typer.Option("--reason", help="Reason; shown with the anchor.", callback=encodable)],
    expires: Annotated[str, typer.Option("--expires", help="End: a day or time in UTC, or +12h, or +3d.")],
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
) -> None:
    """Suspend an anchor until --expires: it is not guarded meanwhile. An open pass keeps its anchors."""
    from datetime import UTC, datetime

    from autosurgeon.cli.moments import moment
    from autosurgeon.cli.render import say
    from autosurgeon.core.person import current_person
    from autosurgeon.errors import UserError
    from autosurgeon.wiring import open_store

    until = moment(expires, "--expires")
    _entry(task, _entries(workspace, config, history=False))
    if not reason.strip():
        raise UserError("a quarantine needs a reason", wanted="--reason TEXT")
    if until <= datetime.now(UTC):
        raise UserError("a quarantine ends in the future", got=until.isoformat(), wanted="a later --expires")
    with open_store(workspace, writes=True) as store:
        quarantined = store.quarantine(task, reason.strip(), current_person(), until.isoformat(timespec="microseconds"))
    say(f"{task} is in quarantine until {quarantined.expires_at}")
