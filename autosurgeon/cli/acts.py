"""Recording what a person does, where the act itself must not depend on the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosurgeon.errors import StoreError

if TYPE_CHECKING:
    from autosurgeon.core.person import PersonAct
    from autosurgeon.store.sqlstore import SqlStore


def try_to_record(store: SqlStore, act: PersonAct) -> str:
    """Add an act to the chain; why it is not in the record, empty where it is."""
    try:
        store.record_act(act)
    except StoreError as error:
        return str(error)
    return ""
