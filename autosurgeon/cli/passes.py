"""`autosurgeon pass`: the passes of a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autosurgeon.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.core.records import StageRecord

app = typer.Typer(no_args_is_help=True, help="The passes of a workspace.")


@app.command("list")
def list_passes(
    last: Annotated[int, typer.Option("--last", "-n", min=1, help="Number of newest passes.")] = 30,
    before: Annotated[int | None, typer.Option("--before", min=1, help="Only passes before this number.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every pass, regardless of --last.")] = False,
    workspace: WorkspaceOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """List the newest passes, newest last; --before lists earlier ones, --all every one."""
    from autosurgeon.cli.render import print_json, print_table, say
    from autosurgeon.cli.view import recipe_line
    from autosurgeon.wiring import open_store

    with open_store(workspace) as store:
        passes = store.last_passes(None if every else last, before=before)
        total = sum(store.pass_counts().values())
    if as_json:
        print_json([record.model_dump(mode="json") for record in passes])
        return
    rows = [(p.number, p.state.value, p.verdict, recipe_line(p.recipe), (p.pack or "")[:12], p.reason) for p in passes]
    print_table("passes", ("pass", "state", "verdict", "recipe", "pack", "reason"), rows)
    if passes and len(passes) < total:
        first = passes[0].number
        earlier = f"; `--before {first}` shows earlier ones, `--all` every one" if first > 1 else ""
        say(f"passes {first} to {passes[-1].number} of {total}{earlier}")


def _stage_json(stage: StageRecord) -> dict[str, Any]:
    usage = stage.usage.model_dump(mode="json") if stage.usage else None
    return stage._asdict() | {"usage": usage, "cost": stage.cost.model_dump(mode="json")}


@app.command("show")
def show_pass(
    number: Annotated[int, typer.Argument(help="The pass's number.")],
    workspace: WorkspaceOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Show one pass: its recipe, its stages and every rule of every decision."""
    from autosurgeon.cli.render import RULE_COLUMNS, print_json, print_table, rule_cells, say
    from autosurgeon.cli.view import recipe_line
    from autosurgeon.core.decision import Cost
    from autosurgeon.loop.baseline.baseline import pass_scope
    from autosurgeon.loop.pass_reports import stage_costs
    from autosurgeon.loop.stages.salvage_rungs import rungs_of
    from autosurgeon.wiring import open_store

    with open_store(workspace) as store:
        record, decisions = store.get_pass(number), store.decisions(number)
        stages = store.stages(pass_scope(number))
        rungs, begun_under = rungs_of(store, number), store.in_force_in(record)
    costs = stage_costs(stages)
    if as_json:
        content = {
            "in_force": begun_under.model_dump(mode="json") if begun_under else None,
            "stages": [_stage_json(stage) for stage in stages],
            "costs": {cost.name: cost.cost.model_dump(mode="json") for cost in costs},
            "salvage": [rung.model_dump(mode="json") for rung in rungs],
            "decisions": [decision.record() for decision in decisions],
        }
        print_json(record.model_dump(mode="json") | content)
        return
    say(f"pass {number}: {record.state.value}: {record.reason}")
    say(f"began under: {begun_under.line if begun_under else 'not recorded'}")
    say(f"recipe: {recipe_line(record.recipe)}")
    attempts = [(stage.name, stage.attempt, f"{stage.seconds:.2f}", stage.error) for stage in stages]
    print_table("stages", ("stage", "attempt", "seconds", "error"), attempts)
    spent = [(c.name, c.cost.trained_tokens, c.cost.generated_tokens, *c.cost.words.values()) for c in costs]
    print_table("cost", ("stage", "tokens trained", "generated", *Cost().words), spent)
    if rungs:
        tries = [(rung.rung, rung.smoked, ", ".join(rung.lost), rung.outcome) for rung in rungs]
        print_table("salvage", ("rung", "anchors smoked", "lost", "outcome"), tries)
    rows = [
        (decision.judgement.phase, *rule_cells(rule))
        for decision in decisions
        if decision.judgement
        for rule in decision.judgement.rules
    ]
    print_table("rules", ("phase", *RULE_COLUMNS), rows)
