"""Recording of acts that must succeed even if the record fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosurgeon.errors import StoreError

if TYPE_CHECKING:
    from autosurgeon.core.person import PersonAct
    from autosurgeon.store.sqlstore import SqlStore


def try_to_record(store: SqlStore, act: PersonAct) -> str:
    """Add an act to the chain; return why it failed, empty on success."""
    try:
        store.record_act(act)
    except StoreError as error:
        return str(error)
    return ""
