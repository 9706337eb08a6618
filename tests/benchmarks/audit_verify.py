"""How fast, and in how much memory, `audit verify` walks a long chain.

    python tests/benchmarks/audit_verify.py [--events 1000000]

Each length is verified in a process of its own, with the log beside the database and a checkpoint at the end. Every
tenth event is a decision with its row; of the others, every second one vouches for rows of stages.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from builders import NOON, make_decision

from autosurgeon.audit.checkpoints import write_checkpoint
from autosurgeon.audit.keys import make_key
from autosurgeon.core.digest import canonical_json
from autosurgeon.core.hash_chain import GENESIS, Event, Head, line_of, link, payload_text
from autosurgeon.core.row_lines import KIND, WrittenRows, digest_lines, row_line
from autosurgeon.core.workspace import Workspace
from autosurgeon.store.sqlstore import SqlStore

STAGE = payload_text({"stage": "train", "attempt": 1, "seconds": 41.5, "output": GENESIS})
MARKS = ", ".join("?" * len(Event._fields))


def build(root: Path, length: int) -> None:
    """Insert a chain in bulk, as no loop does."""
    workspace = Workspace(root)
    SqlStore(workspace.database, create=True).close()
    workspace.events.parent.mkdir(parents=True)
    record = make_decision("d", evidence={f"training.loss_{n}": n / 7 for n in range(30)}).record()
    judged = record["judgement"]
    columns = (record["pass_number"], judged["phase"], judged["verdict"], record["action"])
    head = Head(0, GENESIS)
    unsaid: list[bytes] = []
    connection = sqlite3.connect(workspace.database)
    with workspace.events.open("wb") as events, workspace.decisions.open("w") as decisions, connection:
        for seq in range(1, length + 1):
            if seq % 10 != 5 and seq % 2:
                row = {"id": seq, "scope": "pass-0001", "name": "train", "attempt": 1, "output": "{}", "seconds": 41.5}
                row |= {"at": NOON, "effect_id": "e"}
                event = link(head, NOON, "stage", "pass-0001", STAGE)
                connection.execute(f"INSERT INTO stage ({', '.join(row)}) VALUES (:{', :'.join(row)})", row)
                unsaid.append(row_line(row))
            elif seq % 10 != 5:
                wrote = WrittenRows({"stage": (len(unsaid), digest_lines(unsaid))}, {}, {})
                unsaid.clear()
                event = link(head, NOON, KIND, "pass-0001", payload_text(wrote.content))
            else:
                mine = record | {"decision_id": f"d-{seq}"}
                event = link(head, NOON, "decision", f"d-{seq}", payload_text(mine))
                connection.execute(
                    "INSERT INTO decision (decision_id, pass_number, phase, verdict, action, record, at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (f"d-{seq}", *columns, json.dumps(mine), mine["at"]),
                )
                decisions.write(canonical_json(mine) + "\n")
            connection.execute(f"INSERT INTO event VALUES ({MARKS})", event)
            events.write(line_of(event))
            head = Head(event.seq, event.hash)
    connection.close()
    write_checkpoint(workspace.checkpoints, make_key(workspace.keys), head, NOON)


def measure(root: Path) -> None:
    """Verify and print what it took."""
    from autosurgeon.audit.verify import verify

    store = SqlStore(Workspace(root).database)
    start, start_cpu = time.perf_counter(), time.process_time()
    found = verify(Workspace(root), store)
    took, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    store.close()
    assert found.whole, found.findings
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = f"{found.size / took:,.0f} a second, {found.size / cpu:,.0f} a second of CPU"
    print(f"{found.size:>9,} events: {took:6.1f} s, {rate}, peak {mib:.0f} MiB")


def main() -> None:
    """A tenth of the length, and the length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--verify", type=Path)
    arguments = parser.parse_args()
    if arguments.verify:
        measure(arguments.verify)
        return
    for length in (arguments.events // 10, arguments.events):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            build(Path(folder), length)
            print(f"{length:>9,} events: {time.perf_counter() - start:6.1f} s to build", flush=True)
            subprocess.run([sys.executable, __file__, "--verify", folder], check=True)


if __name__ == "__main__":
    main()
