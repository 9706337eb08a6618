"""`autosurgeon pass`: the passes of a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autosurgeon.cli.options import JsonOption, WorkspaceOption

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


@app.command("show")
def show_pass(
    number: Annotated[int, typer.Argument(help="The pass's number.")],
    workspace: WorkspaceOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Show one pass: its recipe, its stages and every rule of every decision."""
    from autosurgeon.cli.render import print_json, print_table, say
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
        content = record.model_dump(mode="json")
        content["in_force"] = begun_under.model_dump(mode="json") if begun_under else None
        content["stages"] = [
            stage._asdict()
            | {"usage": stage.usage.model_dump(mode="json") if stage.usage else None}
            | {"cost": stage.cost.model_dump(mode="json")}
            for stage in stages
        ]
        content["costs"] = {cost.name: cost.cost.model_dump(mode="json") for cost in costs}
        content["salvage"] = [rung.model_dump(mode="json") for rung in rungs]
        content["decisions"] = [decision.record() for decision in decisions]
        print_json(content)
        return
    say(f"pass {number}: {record.state.value}: {record.reason}")
    say(f"began under: {begun_under.line if begun_under else 'not recorded'}")
    say(f"recipe: {recipe_line(record.recipe)}")
    print_table(
        "stages",
        ("stage", "attempt", "seconds", "error"),
        [(stage.name, stage.attempt, f"{stage.seconds:.2f}", stage.error) for stage in stages],
    )
    print_table(
        "cost",
        ("stage", "tokens trained", "generated", *Cost().words),
        [(c.name, c.cost.trained_tokens, c.cost.generated_tokens, *c.cost.words.values()) for c in costs],
    )
    if rungs:
        tries = [(rung.rung, rung.smoked, ", ".join(rung.lost), rung.outcome) for rung in rungs]
        print_table("salvage", ("rung", "anchors smoked", "lost", "outcome"), tries)
    rows = [
        (
            d.judgement.phase,
            r.rule_id,
            r.result,
            r.fact,
            r.seen,
            r.bound,
            "" if r.margin is None else f"{r.margin:.3g}",
            r.mode,
            r.severity,
            r.lesson,
        )
        for d in decisions
        if d.judgement
        for r in d.judgement.rules
    ]
    columns = ("phase", "rule", "result", "fact", "observed", "bound", "margin", "mode", "severity", "lesson")
    print_table("rules", columns, rows)
