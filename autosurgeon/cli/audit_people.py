"""`autosurgeon audit log --people`: what people did to a workspace, and who."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autosurgeon.audit.filters import Filters
    from autosurgeon.store.acts import Entry

COLUMNS = ("at (UTC)", "entry", "act", "who", "about", "until", "reason")


def show_people(workspace: Path, number: int | None, filters: Filters, *, as_csv: bool, as_json: bool) -> None:
    """Print what people did, oldest first.

    Args:
        workspace: whose record.
        number: only what concerns this pass by its number.
        filters: only what was done in their time.
        as_csv: as CSV.
        as_json: as JSON, with all that an act holds.

    """
    from autosurgeon.audit.mask import masked_record
    from autosurgeon.audit.rotation import unvouched_in
    from autosurgeon.cli.render import print_csv, print_json, print_table, say
    from autosurgeon.wiring import masking_in, open_store

    with open_store(workspace, as_it_is=True) as store:
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
    """An act as JSON: its entry in the chain, null from before acts were entries, and what a lost key means."""
    content = {"entry": entry.seq, "about": entry.act.concerns} | entry.act.model_dump(mode="json")
    return content | {"unvouched": lines.get(entry.seq or 0)}


def _row(record: dict[str, Any]) -> list[object]:
    from autosurgeon.core.person import Person

    who, until = Person.model_validate(record["who"]).words, (record["until"] or "")[:19]
    return [record["at"][:19], record["entry"], record["act"], who, record["about"], until, record["reason"]]
