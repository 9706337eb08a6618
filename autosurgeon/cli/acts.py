"""Recording of acts that must succeed even if the record fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from autosurgeon.errors import StoreError

if TYPE_CHECKING:
    from autosurgeon.core.person import Act, PersonAct
    from autosurgeon.store.sqlstore import SqlStore


def own_act(act: Act, reason: str, **fields: Any) -> PersonAct:
    """Return an act of the current person at the current time."""
    from autosurgeon.core.person import PersonAct, current_person
    from autosurgeon.store.database import utc_now

    return PersonAct(act=act, who=current_person(), at=utc_now(), reason=reason.strip(), **fields)


def try_to_record(store: SqlStore, act: PersonAct) -> str:
    """Add an act to the chain; return why it failed, empty on success."""
    try:
        store.record_act(act)
    except StoreError as error:
        return str(error)
    return ""


def warn_unrecorded(cause: str) -> None:
    """Print that an act is not in the record, if there is a cause."""
    if cause:
        typer.echo(f"the act is not in the record: {cause}", err=True)
