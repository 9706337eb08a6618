"""What has to hold of a workspace whatever happened to its loop; the letters are those of the checks' messages."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from math import fsum
from pathlib import Path
from typing import Any, NamedTuple

from databases import Place, run_sql

from autosurgeon.audit.verify import verify
from autosurgeon.core.digest import digest_json
from autosurgeon.core.hash_chain import Head
from autosurgeon.core.workspace import Workspace
from autosurgeon.packs.packstore import PackStore
from autosurgeon.store.sqlstore import SqlStore

AGAIN = "name <> 'deploy'"
"""The runtime may be informed again after a crash, and then this is a stage of its own."""
MEASURED = ("at", "seconds", "cost", "avoided", "evidence_digest", "budget.hours", "budget.disk_gib", "cpu_s")
"""Clocks and gauges: what differs between two runs of one story."""
VOLATILE = ("data/lock", "logs/operations.jsonl", "logs/checkpoints/", "disk-was-full", "data/autosurgeon.db-")
"""Files that only say who worked here, and how often."""
LEFTOVERS = ("data/packs/staging", "data/packs/trash")
ROOM_BYTES = 1 << 20
"""What events and checkpoints of some more starts may take."""


class State(NamedTuple):
    """A workspace with the clocks taken out."""

    facts: dict[str, Any]
    files: frozenset[str]
    bytes: int


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """The workspace as it lies there, elsewhere: opening a database repairs it, and that is up to the loop."""
    with tempfile.TemporaryDirectory(prefix="look-") as folder:
        copy = Path(folder) / root.name
        shutil.copytree(root, copy, symlinks=True)
        yield copy


def check_faulted(root: Path, store: Place | None = None) -> Head | None:
    """What holds at every moment, the one after a fault among them; the chain's head, if there is a chain.

    I1: live.json and the store's live name whole packs. I2: the chain verifies, however far the logs came.
    """
    with copied(root) as copy:
        place = Workspace(copy)
        _check_live_file(place)
        if store is None and not _has_tables(place.database):
            return None
        with closing(SqlStore(store or place.database)) as opened:
            live = opened.live()
            if live is not None:
                PackStore(place.packs).verify(live.pack)
            found = verify(place, opened)
            assert found.whole, found.findings
            return opened.head()


def check(root: Path, reference: State, heads: list[Head], store: Place | None = None) -> None:
    """What holds of a workspace that was restarted to the end of its story.

    I1 live, I2 the chain extends every earlier one, I3 evidence, I4 effects once, I5 the undisturbed run's end, I6 no
    process and no mount, I7 the disk, I8 alpha, I9 the runtime.
    """
    assert not processes_of(root), "I6: a process is left"
    assert str(root) not in Path("/proc/self/mountinfo").read_text(), "I6: a mount is left"
    place = Workspace(root)
    with closing(SqlStore(store or place.database)) as opened:
        live = opened.live()
        assert live is not None
        PackStore(place.packs).verify(live.pack)
        assert _check_live_file(place) == live.pack, "I1: live.json and the store disagree"
        found = verify(place, opened)
        assert found.whole, f"I2: {found.findings}"
        hashes = {event.seq: event.hash for event in opened.each_event()}
        assert all(hashes.get(head.size) == head.hash for head in heads if head.size), "I2: the chain was rewritten"
        assert len(place.events.read_bytes().splitlines()) == len(hashes), "I2: events.jsonl is behind"
        if (root / "served").exists():
            assert (root / "served").read_text().strip() == live.pack, "I9: the runtime serves another pack than live"
        _check_evidence(place, opened)
        _check_effects(store or place.database, opened, reference)
        held = opened.looks_before_live()
        assert fsum(look.spent for look in opened.looks() if look.look > held) <= 0.05, "I8: alpha was overspent"
        numbers = [look.look for look in opened.looks()]
        # A pass of several candidates uses up more than one; which, I5 holds against the undisturbed run.
        assert numbers == sorted(set(numbers)), "I8: a look was paid for twice"
    state = state_of(root, store)
    for key, wanted in reference.facts.items():
        assert state.facts[key] == wanted, f"I5: {key}"
    assert state.files == reference.files, f"I7: {sorted(state.files ^ reference.files)}"
    for left in LEFTOVERS:
        assert not (root / left).exists() or not list((root / left).iterdir()), f"I7: {left}"
    assert state.bytes <= reference.bytes * 1.25 + ROOM_BYTES, "I7: the disk fills"


def state_of(root: Path, store: Place | None = None) -> State:
    """The end of a story, to hold another one's against."""
    place = Workspace(root)
    with closing(SqlStore(store or place.database)) as opened:
        facts = {
            "passes": [_timeless(p.model_dump(mode="json"), "started_at", "ended_at") for p in opened.passes()],
            "live": [tuple(version)[:3] for version in opened.live_history()],
            "decisions": [_decision(d.record()) for d in opened.decisions()],
            "looks": [look.model_dump() for look in opened.looks()],
            "packs": sorted((manifest.digest, number) for manifest, number, _ in opened.packs()),
            "events": [
                (e.kind, e.subject)
                for e in opened.each_event()
                if not e.kind.startswith(("run-", "stage-begun", "rows", "deploy"))
                and '"stage":"deploy"' not in e.payload
            ],
            "anchor_runs": [tuple(run) for run in opened.anchor_runs()],
            "stages": _rows(store or place.database, "scope, name, output", "stage", f"output IS NOT NULL AND {AGAIN}"),
            "results": _rows(store or place.database, "pack, occasion, task_id, passed", "bench_result"),
            "confirmations": _rows(store or place.database, "pack, task_id, samples, passed", "confirmation"),
        }
    paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    files = {name for name in paths if not name.startswith(VOLATILE)}
    return State(facts, frozenset(files), sum(path.stat().st_size for path in paths.values()))


def processes_of(root: Path) -> list[str]:
    """The processes that have to do with a folder: by command line, environment or where they stand."""
    found, name = [], os.fsencode(root)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
            texts = [line, (folder / "environ").read_bytes(), os.fsencode(os.readlink(folder / "cwd"))]
        except OSError:
            continue  # it ended, or is another user's
        if folder.name != str(os.getpid()) and any(name in text for text in texts):
            found.append(f"{folder.name} {line!r}")
    return found


def _check_live_file(place: Workspace) -> str | None:
    """I1: the pack that live.json names is there whole."""
    if not place.live_file.exists():
        return None
    content = json.loads(place.live_file.read_text())
    folder = place.live_file.parent / content["folder"]
    assert folder == place.packs / content["pack"]
    PackStore(place.packs).verify(content["pack"])
    return str(content["pack"])


def _has_tables(path: Path) -> bool:
    """Whether a database was begun: a loop may die before its first transaction."""
    if not path.is_file():
        return False
    return bool(run_sql(path, "SELECT 1 FROM sqlite_master WHERE name = 'event'"))


def _check_evidence(place: Workspace, opened: SqlStore) -> None:
    """I3: what a decision stands on is there."""
    packs = PackStore(place.packs)
    for decision in opened.decisions():
        for pack in decision.packs.values():
            assert packs.manifest(pack).digest == pack, f"I3: {decision.decision_id}"
        judgement = decision.judgement
        if judgement is None:
            continue
        assert opened.policy(judgement.policy_digest) or judgement.phase == "baseline", f"I3: {decision.decision_id}"
        assert decision.evidence_digest == digest_json(judgement.evidence), f"I3: {decision.decision_id}"
        if judgement.phase in ("promotion", "watch"):
            for pack in decision.packs.values():
                assert opened.envelopes(pack), f"I3: {decision.decision_id} compares a pack that ran nothing"


def _check_effects(where: Place, opened: SqlStore, reference: State) -> None:
    """I4: nothing was committed twice, but for a stage whose files were gone in the undisturbed story too."""
    committed = Counter(_rows(where, "scope, name", "stage", f"output IS NOT NULL AND {AGAIN}"))
    wanted = Counter(stage[:2] for stage in reference.facts["stages"])
    assert committed == wanted, f"I4: {committed - wanted}, {wanted - committed}"
    history = opened.live_history()
    assert [version.version for version in history] == list(range(1, len(history) + 1)), "I4: a live version is missing"
    decided = [decision.decision_id for decision in opened.decisions()]
    assert len(set(decided)) == len(decided), "I4: a decision was made twice"
    results = Counter(_rows(where, "pack, occasion, task_id", "bench_result"))
    assert set(results.values()) <= {1}, f"I4: {results.most_common(1)}"


def _rows(where: Place, columns: str, table: str, condition: str = "1 = 1") -> list[tuple[Any, ...]]:
    rows = run_sql(where, f"SELECT {columns} FROM {table} WHERE {condition}")
    return sorted(tuple(map(str, row)) for row in rows)


def _decision(record: dict[str, Any]) -> Any:
    """A decision without its clocks; the bounds of rules that look at one go with them."""
    judgement = record["judgement"]
    if judgement is not None:
        judgement["rules"] = [rule for rule in judgement["rules"] if rule["fact"] not in MEASURED]
    # What else a cost holds is measured: seconds, memory, energy.
    tokens = {key: value for key, value in (record["cost"] or {}).items() if key.endswith("tokens")}
    return {**_timeless(record), "tokens": tokens}


def _timeless(value: Any, *also: str) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in (*MEASURED, *also)}
    return [_timeless(item) for item in value] if isinstance(value, list) else value
