"""Changes of the rows that the chain vouches for."""

from __future__ import annotations

import json
import random
import sqlite3
from typing import Any

from audited import rows_of, with_other_byte

from autosurgeon.core.workspace import Workspace
from autosurgeon.store.row_digests import CHANGING, GROWING


def tamper_rows(workspace: Workspace, rng: random.Random) -> tuple[str, set[int]]:
    """One change of a row of any other table: what was measured, made, moved or paid for."""
    table = rng.choice([*GROWING, *CHANGING])
    change = rng.choice(["value", "value", "delete", "insert", "swap"])
    with sqlite3.connect(workspace.database) as connection:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        rows = connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY rowid").fetchall()
        keys = [column.name for column in {**GROWING, **CHANGING}[table].primary_key]
        wrote = writers_of(workspace, table, [dict(zip(names, row, strict=True)) for row in rows])
        n = rng.randrange(len(rows))
        bad, where = {wrote[n]}, " AND ".join(f"{key} = ?" for key in keys)
        values = {key: rows[n][names.index(key)] for key in keys}
        free = [name for name in names if name not in keys]
        if change == "delete":
            connection.execute(f"DELETE FROM {table} WHERE {where}", tuple(values.values()))
        elif change == "insert" or (change == "swap" and len(rows) == 1):
            change, row = "insert", dict(zip(names, rows[n], strict=True))
            row |= {key: f"{value}~" if isinstance(value, str) else 10**6 for key, value in values.items()}
            for name in unique_columns(connection, table):
                row[name] = f"{row[name]}~" if isinstance(row[name], str) else 10**6
            marks = ", ".join("?" * len(names))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", [row[name] for name in names])
            bad = {len(rows_of(workspace)) + 1}
        elif change == "value":
            name = rng.choice(free)
            value = rows[n][names.index(name)]
            if name in unique_columns(connection, table):  # SQL refuses what another row has
                other: object = f"{value}~" if isinstance(value, str) else 10**6
            else:
                other = with_other_byte(value, rng) if value and isinstance(value, str) else (value or 0) + 1
            connection.execute(f"UPDATE {table} SET {name} = ? WHERE {where}", (other, *values.values()))
        else:
            m = rng.choice([m for m in range(len(rows)) if m != n])
            bad = {wrote[min(n, m)] if table in GROWING else min(wrote[n], wrote[m])}
            name = rng.choice([f for f in free if f not in unique_columns(connection, table)])
            pair = rows[n][names.index(name)], rows[m][names.index(name)]
            if pair[0] == pair[1]:
                return tamper_rows(workspace, rng)
            for at, value in ((n, pair[1]), (m, pair[0])):
                key = [rows[at][names.index(key)] for key in keys]
                connection.execute(f"UPDATE {table} SET {name} = ? WHERE {where}", (value, *key))
    connection.close()
    return f"{change} in the table {table}", bad


def unique_columns(connection: sqlite3.Connection, table: str) -> set[str]:
    indexes = [row[1] for row in connection.execute(f"PRAGMA index_list({table})") if row[2]]
    return {row[2] for index in indexes for row in connection.execute(f"PRAGMA index_info({index})")}


def writers_of(workspace: Workspace, table: str, rows: list[dict[str, Any]]) -> list[int]:
    """The entry that wrote each row last."""
    entries = [(row.seq, json.loads(row.payload)) for row in rows_of(workspace) if row.kind == "rows"]
    if table in GROWING:
        return [seq for seq, entry in entries for _ in range(entry["added"].get(table, [0])[0])]
    last = {key: seq for seq, entry in entries for key in entry["kept"].get(table, {})}
    keys = [column.name for column in CHANGING[table].primary_key]
    return [last["/".join(str(row[key]) for key in keys)] for row in rows]
