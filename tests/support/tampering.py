"""The ways in which somebody might change a workspace with a chain afterwards."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable
from typing import Any

from audited import Rows, rows_of, with_other_byte, write_rows
from builders import NOON
from tamperrows import tamper_rows

from autosurgeon.core.hash_chain import GENESIS, Head, line_of, link
from autosurgeon.core.workspace import Workspace

# Each takes the chain and a number from 1 to its length, and returns which entries may be named: the first bad one, or
# where nothing but its successor gives it away, that.


def edit(rows: Rows, k: int, rng: random.Random) -> tuple[Rows, set[int]]:
    field = rng.choice(["payload", "at", "subject", "previous", "hash", "kind"])
    other: dict[str, Any] = {field: with_other_byte(getattr(rows[k - 1], field), rng)}
    changed = rows[k - 1]._replace(**other)
    return [*rows[: k - 1], changed, *rows[k:]], {k}


def delete(rows: Rows, k: int, rng: random.Random) -> tuple[Rows, set[int]]:
    return rows[: k - 1] + rows[k:], {k}


def delete_and_number_anew(rows: Rows, k: int, rng: random.Random) -> tuple[Rows, set[int]]:
    return rows[: k - 1] + [row._replace(seq=row.seq - 1) for row in rows[k:]], {k}


def swap(rows: Rows, k: int, rng: random.Random) -> tuple[Rows, set[int]]:
    other = rng.choice([n for n in range(1, len(rows) + 1) if n != k])
    i, j = sorted((k, other))
    swapped = list(rows)
    swapped[i - 1], swapped[j - 1] = rows[j - 1]._replace(seq=i), rows[i - 1]._replace(seq=j)
    return swapped, {i}


def duplicate(rows: Rows, k: int, rng: random.Random) -> tuple[Rows, set[int]]:
    """The entry stands twice, and all that follow it have moved on; its own successor would fit it."""
    again = rows[k - 1]._replace(seq=k + 1)
    return [*rows[:k], again, *(row._replace(seq=row.seq + 1) for row in rows[k:])], {k + 1}


def overwrite(rows: Rows, k: int, rng: random.Random) -> tuple[Rows, set[int]]:
    """Another entry's words stand in its place."""
    other = rows[rng.choice([n for n in range(1, len(rows) + 1) if n != k]) - 1]
    return [*rows[: k - 1], other._replace(seq=k), *rows[k:]], {k}


def move(rows: Rows, k: int, rng: random.Random) -> tuple[Rows, set[int]]:
    """The entry is taken out and stands elsewhere; all are numbered anew."""
    to = rng.choice([n for n in range(1, len(rows) + 1) if n != k])
    moved = rows[: k - 1] + rows[k:]
    moved.insert(to - 1, rows[k - 1])
    return [row._replace(seq=seq) for seq, row in enumerate(moved, start=1)], {min(k, to)}


def truncate(rows: Rows, k: int, rng: random.Random) -> tuple[Rows, set[int]]:
    return rows[: k - 1], {k}


def insert(rows: Rows, k: int, rng: random.Random) -> tuple[Rows, set[int]]:
    forged = link(head_before(rows, k), NOON, "stage", "pass-0001", '{"stage":"forged"}')
    return [*rows[: k - 1], forged, *(row._replace(seq=row.seq + 1) for row in rows[k - 1 :])], {k, k + 1}


def rewrite(rows: Rows, k: int, rng: random.Random) -> tuple[Rows, set[int]]:
    changed = rows[k - 1]._replace(at=with_other_byte(rows[k - 1].at, rng))
    anew = rows[: k - 1]
    for row in [changed, *rows[k:]]:
        head = Head(anew[-1].seq, anew[-1].hash) if anew else Head(0, GENESIS)
        anew.append(link(head, row.at, row.kind, row.subject, row.payload))
    return anew, {k}


def head_before(rows: Rows, k: int) -> Head:
    return Head(k - 1, rows[k - 2].hash) if k > 1 else Head(0, GENESIS)


CHAIN_EDITS: list[Callable[[Rows, int, random.Random], tuple[Rows, set[int]]]] = [
    edit,
    delete,
    delete_and_number_anew,
    swap,
    duplicate,
    overwrite,
    move,
    truncate,
    insert,
    rewrite,
]


def tamper_chain(workspace: Workspace, rng: random.Random) -> tuple[str, set[int]]:
    """One change of the events' table; half the time of their log as well."""
    rows = rows_of(workspace)
    change, log_too = rng.choice(CHAIN_EDITS), rng.random() < 0.5
    changed, bad = change(rows, rng.randint(1, len(rows)), rng)
    write_rows(workspace, changed, log_too=log_too)
    return f"{change.__name__}{' and log' if log_too else ''}", bad


def tamper_log(workspace: Workspace, rng: random.Random) -> tuple[str, set[int]]:
    """One change of a log, as `events.jsonl` or `decisions.jsonl`."""
    log = rng.choice([workspace.events, workspace.decisions])
    seqs = [row.seq for row in rows_of(workspace) if log == workspace.events or row.kind == "decision"]
    lines = log.read_bytes().splitlines(keepends=True)
    n = rng.randrange(len(lines))
    change = rng.choice(
        ["byte", "more", "less", "delete", "swap", "duplicate", "truncate", "cut", "insert", "other log"]
    )
    bad = seqs[n]
    if change == "byte":
        at = rng.randrange(len(lines[n]))
        lines[n] = lines[n][:at] + bytes([(lines[n][at] + rng.randint(1, 255)) % 256]) + lines[n][at + 1 :]
    elif change == "more":
        at = rng.randrange(len(lines[n]))
        lines[n] = lines[n][:at] + bytes([rng.randrange(256)]) + lines[n][at:]
    elif change == "less":
        at = rng.randrange(len(lines[n]) - 1)
        lines[n] = lines[n][:at] + lines[n][at + 1 :]
    elif change == "delete":
        del lines[n]
    elif change == "duplicate":
        lines.insert(n, lines[n])
        bad = seqs[n + 1] if n + 1 < len(seqs) else len(rows_of(workspace)) + 1
    elif change == "other log":
        other = workspace.decisions if log == workspace.events else workspace.events
        lines[n] = rng.choice(other.read_bytes().splitlines(keepends=True))
    elif change == "swap":
        m = rng.choice([m for m in range(len(lines)) if m != n])
        lines[n], lines[m] = lines[m], lines[n]
        bad = seqs[min(n, m)]
    elif change == "insert":
        lines.insert(n, b'{"seq":1}\n')
    else:
        kept = rng.randrange(len(lines[n])) if change == "cut" else 0
        lines[n:] = [lines[n][:kept]]
    log.write_bytes(b"".join(lines))
    return f"{change} in {log.name}", {bad}


def tamper_decisions(workspace: Workspace, rng: random.Random) -> tuple[str, set[int]]:
    """One change of the decisions' own table."""
    one, other = sorted(rng.sample([row for row in rows_of(workspace) if row.kind == "decision"], 2))
    change = rng.choice(["record", "column", "deleted", "swapped"])
    with sqlite3.connect(workspace.database) as connection:
        if change == "deleted":
            connection.execute("DELETE FROM decision WHERE decision_id = ?", (one.subject,))
        elif change == "swapped":
            statement = "SELECT record FROM decision WHERE decision_id = ?"
            records = [connection.execute(statement, (row.subject,)).fetchone()[0] for row in (other, one)]
            for row, record in zip((one, other), records, strict=True):
                connection.execute("UPDATE decision SET record = ? WHERE decision_id = ?", (record, row.subject))
        else:
            column = "record" if change == "record" else rng.choice(["decision_id", "action", "at"])
            statement = f"SELECT {column} FROM decision WHERE decision_id = ?"
            value: object = with_other_byte(connection.execute(statement, (one.subject,)).fetchone()[0], rng)
            if column == "decision_id":  # another byte might make it the name of another row, which SQL refuses
                value = f"{value}~"
            if change == "column" and rng.random() < 0.5:
                column, value = rng.choice([("pass_number", 99), ("phase", "smoke"), ("verdict", "ACCEPT")])
            connection.execute(f"UPDATE decision SET {column} = ? WHERE decision_id = ?", (value, one.subject))
    connection.close()
    return f"decision {change}", {one.seq}


def tamper_swap(workspace: Workspace, rng: random.Random) -> tuple[str, set[int]]:
    """The content of database and log is exchanged: one of the two was changed."""
    rows = rows_of(workspace)
    k = rng.randint(1, len(rows))
    changed = rows[k - 1]._replace(subject=with_other_byte(rows[k - 1].subject, rng))
    if rng.random() < 0.5:
        write_rows(workspace, [*rows[: k - 1], changed, *rows[k:]], log_too=False)
        return "database against log", {k}
    lines = workspace.events.read_bytes().splitlines(keepends=True)
    lines[k - 1] = line_of(changed)
    workspace.events.write_bytes(b"".join(lines))
    return "log against database", {k}


def tamper_file(workspace: Workspace, rng: random.Random) -> tuple[str, set[int]]:
    """One byte of the database's file, within the text of an entry, past every rule of SQL."""
    row = rng.choice(rows_of(workspace))
    raw = bytearray(workspace.database.read_bytes())
    text = f"{row.payload}{row.previous}{row.hash}".encode()
    at, other = rng.randrange(len(text)), rng.randint(1, 255)
    # A page that was split may hold older copies, which are never read.
    starts = [found.start() for found in re.finditer(re.escape(text), raw)]
    assert starts
    for start in starts:
        raw[start + at] = (raw[start + at] + other) % 256
    workspace.database.write_bytes(raw)
    return "byte in the file", {row.seq}


def tamper(workspace: Workspace, rng: random.Random) -> tuple[str, set[int]]:
    """Any of them: what was done, and which entries may be named as the first bad one."""
    ways = [
        tamper_chain,
        tamper_chain,
        tamper_chain,
        tamper_log,
        tamper_log,
        tamper_decisions,
        tamper_rows,
        tamper_rows,
        tamper_swap,
        tamper_file,
    ]
    return rng.choice(ways)(workspace, rng)
