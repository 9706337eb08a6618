"""`autosurgeon audit log --people`: acts of people on a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autosurgeon.audit.filters import Filters
    from autosurgeon.store.acts import Entry

COLUMNS = ("at (UTC)", "entry", "act", "who", "about", "until", "reason")


def show_people(workspace: Path, number: int | None, filters: Filters, *, as_csv: bool, as_json: bool) -> None:
    """Print acts of people, oldest first.

    Args:
        workspace: the workspace.
        number: only acts about the pass of this number.
        filters: only acts in their range of time.
        as_csv: print CSV.
        as_json: print JSON with all fields of an act.

    """
    from autosurgeon.audit.mask import masked_record
    from autosurgeon.audit.rotation import unvouched_in
    from autosurgeon.cli.render import print_csv, print_json, print_table, say
    from autosurgeon.wiring import masking_in, open_store

    with open_store(workspace, unchecked=True) as store:
        if number is not None:
            store.get_pass(number)
        entries, decisions = store.acts(), store.decisions()
    masking = masking_in(workspace).knowing(decisions, [entry.act for entry in entries])
    unvouched = unvouched_in(entries)
    lines = {one.seq: one.words for one in unvouched}
    shown = [e for e in entries if number in (None, e.act.pass_number) and filters.covers(e.act.at)]
    records = [masked_record(_record(entry, lines), masking) for entry in shown]
    if as_json:
        print_json(records)
        return
    rows = [_row(record) for record in records]
    if as_csv:
        print_csv(COLUMNS, rows)
        return
    print_table("people", COLUMNS, rows)
    for one in unvouched:
        say(one.words)


def _record(entry: Entry, lines: dict[int, str]) -> dict[str, Any]:
    """Return an act as JSON with its entry in the chain, null for acts without one, and the note on a lost key."""
    content = {"entry": entry.seq, "about": entry.act.concerns} | entry.act.model_dump(mode="json")
    return content | {"unvouched": lines.get(entry.seq or 0)}


def _row(record: dict[str, Any]) -> list[object]:
    from autosurgeon.core.person import Person

    who, until = Person.model_validate(record["who"]).words, (record["until"] or "")[:19]
    return [record["at"][:19], record["entry"], record["act"], who, record["about"], until, record["reason"]]
