"""`autosurgeon audit`: the decisions, their reasons, and the verification of the record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.audit_export import export_packs
from autosurgeon.cli.audit_keys import rotate_key
from autosurgeon.cli.audit_people import show_people
from autosurgeon.cli.audit_verify import verify_chain
from autosurgeon.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.audit.mask import Masking
    from autosurgeon.core.decision import Decision

app = typer.Typer(no_args_is_help=True, help="The decision log: list, verify and export it.")


@app.command("log")
def show_log(
    workspace: WorkspaceOption = Path("."),
    number: Annotated[int | None, typer.Option("--pass", help="Only this pass.")] = None,
    verdict: Annotated[str | None, typer.Option("--verdict", help="Only this verdict, such as REJECT.")] = None,
    rule: Annotated[
        str | None, typer.Option("--rule", help="Only decisions in which this rule failed or lacked a fact.")
    ] = None,
    since: Annotated[str, typer.Option("--since", help="Only at or after this time, ISO 8601.")] = "",
    until: Annotated[str, typer.Option("--until", help="Only before this time, ISO 8601.")] = "",
    people: Annotated[bool, typer.Option("--people", help="List acts of people instead of decisions.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the decisions, oldest first; --json adds every rule's result and the evidence."""
    from autosurgeon.audit.filters import Filters
    from autosurgeon.audit.mask import masked_record
    from autosurgeon.cli.render import print_csv, print_json, print_table
    from autosurgeon.errors import UserError
    from autosurgeon.wiring import masking_in, open_store

    if as_csv and as_json:
        raise UserError("only one output format is possible", got="--json and --csv", wanted="one of them")
    filters = Filters.of(verdict=verdict, rule=rule, since=since, until=until)
    if people:
        if verdict is not None or rule is not None:
            raise UserError("acts of people have no verdict or rule", wanted="--people without --verdict and --rule")
        show_people(workspace, number, filters, as_csv=as_csv, as_json=as_json)
        return
    with open_store(workspace, unchecked=True) as store:
        if number is not None:
            store.get_pass(number)
        everything = store.decisions()
    decisions = [d for d in everything if number in (None, d.pass_number) and filters.keep(d)]
    masking = masking_in(workspace).knowing(everything)
    if as_json:
        print_json([masked_record(decision.record(), masking) for decision in decisions])
        return
    columns = ["at (UTC)", "decision", "verdict", "action", "live version", "reason"]
    if masking.kinds:
        columns.append("masked")
    rows = [_row(decision, masking) for decision in decisions]
    if as_csv:
        print_csv(columns, rows)
    else:
        print_table("decisions", columns, rows)


def _row(decision: Decision, masking: Masking) -> list[object]:
    from autosurgeon.audit.mask import Mask, masked_summary

    mask = Mask(masking)
    row: list[object] = [
        decision.at[:19],
        decision.decision_id,
        decision.judgement.verdict.value if decision.judgement else "",
        decision.action,
        decision.live_version,
        mask.text(decision.reason),
    ]
    return [*row, masked_summary(mask.found)] if masking.kinds else row


@app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of a line of logs/decisions.jsonl."""
    from autosurgeon.audit.decision_schema import decision_schema
    from autosurgeon.cli.render import print_json

    print_json(decision_schema())


app.command("verify")(verify_chain)
app.command("export")(export_packs)
app.command("rotate-key")(rotate_key)
