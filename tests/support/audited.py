"""A workspace with a chain and rows in every table, and what the audit finds in it."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

from builders import NOON, make_contract, make_decision, make_envelope, make_recipe

from autosurgeon.audit.checkpoints import sign_head
from autosurgeon.audit.log_projection import project, project_events
from autosurgeon.audit.verify import Verification, verify
from autosurgeon.core.decision import Alpha
from autosurgeon.core.hash_chain import Event, line_of
from autosurgeon.core.pack import Lineage, Manifest, PackedFile
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.person import Person
from autosurgeon.core.records import AnchorRun
from autosurgeon.core.workspace import Workspace
from autosurgeon.store.sqlstore import SqlStore

COLUMNS = ", ".join(Event._fields)
Rows = list[Event]


def publish(workspace: Workspace, store: SqlStore) -> None:
    """Bring logs and checkpoints up to date, as the loop does."""
    head = store.head()
    project(workspace.decisions, store.place_of, lambda place: store.each_decision(after=place))
    project_events(workspace.events, lambda seq: store.each_event(after=seq, last=head.size))
    sign_head(workspace, store, head, NOON)


def build(root: Path, passes: int = 6) -> Workspace:
    """Passes with rows in every table, and three decisions each, all signed."""
    workspace = Workspace(root)
    store = SqlStore(workspace.database, create=True)
    run = store.begin_run(passes, None)
    for _ in range(passes):
        number = store.begin_pass(make_recipe(), "parent", "live", make_contract())
        for phase in ("proposal", "promotion"):
            decision = make_decision(f"pass-{number:04d}-{phase}", pass_number=number, reason=f"größer als {number}")
            store.decide(decision, state=PassState.PLANNED if phase == "proposal" else PassState.HELD)
            publish(workspace, store)
            if phase == "proposal":
                measure(store, number)
    store.end_run(run, "passes")
    publish(workspace, store)
    store.close()
    return workspace


def measure(store: SqlStore, number: int) -> None:
    """A row at least in each of the tables."""
    scope = f"pass-{number:04d}"
    results = [make_envelope(f"b/{n}", passed=n % 2 == 0) for n in range(5)]
    rows = {"dataset": {"rows": [{"task_id": f"b/{number}"}]}, "poison": [f"b/{number}"]}
    store.commit_stage(scope, "dataset", rows, 0.5, "e")
    store.begin_stage(scope, "bench")
    store.commit_stage(
        scope,
        "bench",
        {},
        7,
        "f",
        envelopes=(scope, scope, results),
        confirmations=(scope, {"b/0": (4, 4), "b/2": (4, 3)}),
        pack=(Manifest(files={"a": PackedFile(sha256=scope, bytes=1)}, lineage=Lineage()), number),
        anchor_runs=[AnchorRun(scope, "b/0", 3, 2)],
    )
    store.begin_stage(scope, "watch")
    store.keep_policy(f"{number:064x}", "{}")
    store.pay_look(number, Alpha(look=number, spent=0.03, left=0.02))
    store.quarantine("b/0", "flaky", Person(login="ann"), NOON)
    store.decide(make_decision(f"revert-v{number}"), live_pack=f"{number:064x}")


def check(workspace: Workspace, against: Path | None = None) -> Verification:
    """What the audit finds."""
    store = SqlStore(workspace.database)
    try:
        return verify(workspace, store, against)
    finally:
        store.close()


def copied(workspace: Workspace, root: Path) -> Workspace:
    """The same workspace elsewhere."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(workspace.root, root)
    return Workspace(root)


def rows_of(workspace: Workspace) -> Rows:
    """The chain as it stands."""
    with sqlite3.connect(workspace.database) as connection:
        found = [Event(*row) for row in connection.execute(f"SELECT {COLUMNS} FROM event ORDER BY seq")]
    connection.close()
    return found


def write_rows(workspace: Workspace, rows: Rows, *, log_too: bool) -> None:
    """Put another chain in its place; into the log as well, by somebody who thinks of it."""
    with sqlite3.connect(workspace.database) as connection:
        connection.execute("DELETE FROM event")
        connection.executemany(f"INSERT INTO event ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    if log_too:
        workspace.events.write_bytes(b"".join(map(line_of, rows)))


def with_other_byte(text: str, rng: random.Random) -> str:
    """One character is another."""
    at = rng.randrange(len(text))
    return text[:at] + rng.choice([c for c in 'ab1"{ö ' if c != text[at]]) + text[at + 1 :]
