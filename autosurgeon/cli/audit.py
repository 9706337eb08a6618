"""`autosurgeon audit`: what was decided, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autosurgeon.cli.options import JsonOption, WorkspaceOption

app = typer.Typer(no_args_is_help=True, help="What was decided, and why.")


@app.command("log")
def show_log(
    workspace: WorkspaceOption = Path("."),
    number: Annotated[int | None, typer.Option("--pass", help="Only this pass.")] = None,
    verdict: Annotated[str | None, typer.Option("--verdict", help="Only this verdict, such as REJECT.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the decisions, oldest first; with --json every rule's result and all the evidence."""
    from autosurgeon.cli.render import print_json, print_table
    from autosurgeon.core.decision import Verdict
    from autosurgeon.errors import UserError
    from autosurgeon.wiring import open_store

    if verdict is not None and verdict not in list(Verdict):
        raise UserError("there is no such verdict", got=repr(verdict), wanted=", ".join(Verdict))
    with open_store(workspace) as store:
        if number is not None:
            store.get_pass(number)
        decisions = [
            decision
            for decision in store.decisions(number)
            if verdict is None or (decision.judgement and decision.judgement.verdict == verdict)
        ]
    if as_json:
        print_json([decision.record() for decision in decisions])
        return
    rows = [
        (
            decision.at[:19],
            decision.decision_id,
            decision.judgement.verdict.value if decision.judgement else "",
            decision.action,
            decision.live_version,
            decision.reason,
        )
        for decision in decisions
    ]
    print_table("decisions", ("at (UTC)", "decision", "verdict", "action", "live version", "reason"), rows)


@app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of a decision, as each line of logs/decisions.jsonl holds one."""
    from autosurgeon.audit.jsonschema import decision_schema
    from autosurgeon.cli.render import print_json

    print_json(decision_schema())
