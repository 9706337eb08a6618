"""A workspace with a long history, written in bulk as no loop does, and valid: `audit verify` finds it whole.

Of each 50 passes one goes live and stays, of each 250 one is reverted by its watch; of the others about a tenth end
at the proposal, a tenth after training, a third at the smoke and the rest at the bench. The last pass is left open.
Results are of the lab's tasks: all of them for base and live packs, eight where a bench ended early.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import sqlite3
from collections import defaultdict
from functools import lru_cache
from math import pi
from pathlib import Path
from typing import Any

from builders import NOON, make_envelope, make_recipe, weights_file
from databases import vouch_for_all
from historytexts import PACK, Texts, template

from autosurgeon.audit.checkpoints import sign_head
from autosurgeon.audit.log_projection import project_events
from autosurgeon.core.decision import PHASES, Decision
from autosurgeon.core.digest import canonical_json, digest_text
from autosurgeon.core.hash_chain import GENESIS, Head, line_of, link, payload_text
from autosurgeon.core.pack import Lineage, Manifest, PackedFile
from autosurgeon.core.pass_states import pass_scope
from autosurgeon.core.records import Feedback
from autosurgeon.core.task import Task
from autosurgeon.core.workspace import Workspace
from autosurgeon.lab.dispatcher import Dispatcher
from autosurgeon.packs.checkpoint import organ_digest, stage_checkpoint
from autosurgeon.packs.packstore import PackStore
from autosurgeon.store.sqlstore import SqlStore
from autosurgeon.store.trained_rows import rows_of

GATES = ("proposal", "training", "smoke", "merge", "promotion", "watch")
STAGES = {
    "proposal": ("anchors", "dataset", "contamination"),
    "training": ("train",),
    "smoke": ("smoke",),
    "merge": ("merge", "fidelity"),
    "promotion": ("bench", "confirm", "distance"),
    "watch": ("watch",),
}
MOST_CLIMBS = 40
"""Dev tasks that there are to climb: no campaign of the lab has more."""
ROUTES = Dispatcher("planner")
assert set(GATES) <= set(PHASES)


def envelope_text(task: Task, won: bool) -> str:
    """A result of a task."""
    cond = {"pack": PACK, "handler": ROUTES.route(task.prompt), "split": task.split.value, "bench": task.bench}
    return make_envelope(task.task_id, passed=won, **cond).model_dump_json()


@lru_cache(maxsize=1000)
def stage_texts(name: str, output: str) -> tuple[str, str]:
    """A stage's output, and the content of its event."""
    content = {"stage": name, "attempt": 1, "seconds": 0.5, "output": digest_text(output)}
    return output, canonical_json(content)


class History:
    """The rows of a history, gathered by table and written in large transactions."""

    def __init__(self, workspace: Workspace, tasks: dict[str, Task]) -> None:
        self.workspace, self.tasks = workspace, tasks
        self.packs = PackStore(workspace.packs)
        self.rng = random.Random(7)
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.head, self.live, self.version, self.looks = Head(0, GENESIS), "", 0, 0
        self.lines: list[bytes] = []
        self.decided: list[str] = []
        self.taught: dict[str, int | None] = {}
        self.surgery = [task.task_id for task in tasks.values() if task.split == "surgery"]
        self.drawn = [self.rng.sample(self.surgery, 8) for _ in range(97)]
        self.sample = list(tasks.values())[:8]
        self.envelopes = {
            (task.task_id, won): envelope_text(task, won) for task in tasks.values() for won in (False, True)
        }
        self.texts = {(phase, "continue"): template(phase, "continue") for phase in GATES}
        self.texts |= {(phase, "stop"): template(phase, "stop") for phase in GATES}
        self.texts["promotion", "promote"] = template("promotion", "promote", moves_live=True)
        self.texts["watch", "revert"] = template("watch", "revert", moves_live=True)

    def event(self, kind: str, subject: str, payload: str) -> None:
        event = link(self.head, NOON, kind, subject, payload)
        self.head = Head(event.seq, event.hash)
        self.rows["event"].append(event._asdict())
        self.lines.append(line_of(event))

    def stage(self, scope: str, name: str, output: dict[str, Any]) -> None:
        text, payload = stage_texts(name, json.dumps(output))
        row = {"scope": scope, "name": name, "attempt": 1, "output": text, "seconds": 0.5, "at": NOON}
        self.rows["stage"].append(row)
        self.event("stage", scope, payload)
        if name == "dataset" and len(self.taught) < len(self.surgery):
            for task_id, poison in rows_of(scope, output):
                self.taught.setdefault(task_id, poison)

    def decision(self, number: int | None, action: str, decision_id: str, texts: Texts) -> None:
        judged = json.loads(texts.record)["judgement"] or {"phase": None, "verdict": None}
        row = {"decision_id": decision_id, "pass_number": number, "action": action, "record": texts.record, "at": NOON}
        self.rows["decision"].append(row | {name: judged[name] for name in ("phase", "verdict")})
        self.decided.append(texts.line + "\n")
        self.event("decision", decision_id, texts.payload)

    def go_live(self, pack: str, decision_id: str) -> None:
        self.live, self.version = pack, self.version + 1
        self.rows["live"].append({"version": self.version, "pack": pack, "decision_id": decision_id, "at": NOON})

    def results(self, pack: str, occasion: str, tasks: list[Task], share: float) -> None:
        for task in tasks:
            won = self.rng.random() < share
            envelope = self.envelopes[task.task_id, won].replace(PACK, pack)
            row = {"pack": pack, "occasion": occasion, "task_id": task.task_id, "bench": task.bench, "passed": won}
            self.rows["bench_result"].append(row | {"split": task.split.value, "envelope": envelope})
            if won and len(tasks) == len(self.tasks):
                confirmed = {"pack": pack, "task_id": task.task_id, "samples": 4, "passed": 4}
                self.rows["confirmation"].append(confirmed)

    def pack(self, number: int | None, *, on_disk: bool) -> str:
        """A new pack; on disk only where somebody will read it back."""
        manifest = self._whole(number) if on_disk else self._listed(number)
        row = {"digest": manifest.digest, "parent": manifest.lineage.parent, "pass_number": number, "at": NOON}
        self.rows["pack"].append(row | {"manifest": manifest.model_dump_json()})
        return manifest.digest

    def _listed(self, number: int | None) -> Manifest:
        weights = PackedFile(sha256=hashlib.sha256(str(number).encode()).hexdigest(), bytes=7 << 20)
        return Manifest(files={"model.safetensors": weights}, lineage=Lineage(parent=self.live))

    def _whole(self, number: int | None) -> Manifest:
        organ, staged = self.workspace.root / "organ", self.workspace.root / "staged"
        organ.mkdir(exist_ok=True)
        shape = (1,) if number is None else (2,)
        tensors = {"generation": ("BF16", shape, (number or 0).to_bytes(2 * shape[0], "little"))}
        source = organ if number is None else self.workspace.root / f"weights-{number}"
        source.mkdir(exist_ok=True)
        (source / "model.safetensors").write_bytes(weights_file(tensors))
        for name in ("config.json", "tokenizer.json"):
            (source / name).write_text("{}")
        stage_checkpoint(source, staged)
        return self.packs.commit(staged, Lineage(parent=self.live or None))

    def flush(self, connection: sqlite3.Connection) -> None:
        """Write what was gathered."""
        with connection:
            for table, rows in self.rows.items():
                names = list(rows[0])
                marks = ", ".join(f":{name}" for name in names)
                quoted = ", ".join(f'"{name}"' for name in names)
                connection.executemany(f'INSERT INTO "{table}" ({quoted}) VALUES ({marks})', rows)
        with self.workspace.events.open("ab") as events, self.workspace.decisions.open("a") as decisions:
            events.writelines(self.lines)
            decisions.writelines(self.decided)
        for gathered in (self.rows, self.lines, self.decided):
            gathered.clear()


def begin(history: History) -> None:
    """The base: imported, measured, live."""
    base = history.pack(None, on_disk=True)
    organ = organ_digest(history.workspace.root / "organ")
    history.stage("base", "import", {"pack": base, "organ": organ})
    record = Decision(
        decision_id="base-import", pass_number=None, judgement=None, action="baseline", reason="the first", at=NOON
    ).model_copy(update={"live_version": 1, "pack": base})
    content = record.record()
    texts = Texts(json.dumps(content), payload_text(content), canonical_json(content))
    history.decision(None, "baseline", "base-import", texts)
    history.go_live(base, "base-import")
    history.results(base, "base/bench", list(history.tasks.values()), 0.4)


def outputs(history: History, number: int, pack: str) -> dict[str, dict[str, Any]]:
    """What each stage of a pass came back with."""
    poison = history.drawn[number % len(history.drawn)]
    rows = [{"task_id": task, "why": "poison"} for task in poison]
    tokens = {"tokens": {"generated": 900}}
    return {
        "anchors": {"anchors": history.surgery[:30], "hidden": history.surgery[:4]},
        "dataset": {"dataset": {"rows": rows}, "digest": GENESIS, "poison": poison},
        "contamination": {"digest": GENESIS, "hits": []},
        "train": {"result": {"adapter": "adapter"}, "tokens": {"trained": 4000}},
        "smoke": {"facts": {"smoke.lost": 0}} | tokens,
        "merge": {"pack": pack},
        "fidelity": {"result": {"kl": 0.001}},
        "bench": {"dev": 20, "counted": ["lab-humaneval"], "order": [t.task_id for t in history.sample]} | tokens,
        "confirm": {"confirmed": []} | tokens,
        "distance": {"result": {"kl": 0.001}},
        "watch": {"facts": {}} | tokens,
    }


def fate(history: History, number: int) -> tuple[str, str]:
    """The gate that ends a pass, and its last state."""
    if number % 50 == 25:
        return "watch", "CONFIRMED"
    if number % 250 == 90:
        return "watch", "REVERTED"
    gate = history.rng.choices(GATES[:5], (10, 10, 32, 2, 46))[0]
    return gate, "HELD" if gate == "promotion" else "REJECTED"


def one_pass(history: History, number: int, count: int) -> None:
    """All that a pass leaves behind."""
    is_open, scope, before = number == count, pass_scope(number), history.live
    gate, state = ("training", "TRAINED") if is_open else fate(history, number)
    recipe = make_recipe(lr=10 ** history.rng.uniform(-3.5, -2.6), epochs=history.rng.randint(1, 3))
    content = {"recipe": recipe.model_dump(mode="json"), "parent": before, "live": before}
    history.event("pass-begun", scope, payload_text(content))
    reached = GATES[: GATES.index(gate) + 1]
    on_disk = state == "CONFIRMED" and number > count - 100
    pack = history.pack(number, on_disk=on_disk) if "merge" in reached else ""
    made = outputs(history, number, pack)
    for phase in reached:
        for name in STAGES[phase]:
            history.stage(scope, name, made[name])
        action = "continue" if phase != gate or state in ("CONFIRMED", "TRAINED") else "stop"
        if phase == "smoke":
            history.rows["anchor_run"] += (
                {"occasion": f"{scope}/smoke", "task_id": task, "tries": 1, "passed": 1, "at": NOON}
                for task in history.rng.sample(history.surgery, 6)
            )
        if phase == "promotion":
            bench(history, number, pack, everything=gate == "watch")
            action = "promote" if gate == "watch" else action
        target = pack
        if state == "REVERTED" and phase == gate:
            action, target = "revert", before
        decision_id = f"{scope}-{phase}"
        texts = history.texts[phase, action].of(number, history.version + 1, target)
        history.decision(number, action, decision_id, texts)
        if action in ("promote", "revert"):
            history.go_live(target, decision_id)
    feedback = None if is_open else feedback_of(number, gate, state).model_dump_json()
    row = {
        "number": number,
        "state": state,
        "verdict": "REJECT" if state == "REJECTED" else "ACCEPT",
        "pack": pack or None,
    }
    row |= {"recipe": recipe.model_dump_json(), "parent": before, "live_before": before, "feedback": feedback}
    ended = None if is_open else NOON
    history.rows["pass"].append(row | {"reason": "as the rule demands", "started_at": NOON, "ended_at": ended})


def bench(history: History, number: int, pack: str, *, everything: bool) -> None:
    """The look of a pass and its results."""
    history.looks += 1
    look = {"look": history.looks, "pass_number": number, "alpha": 0.3 / (pi * history.looks) ** 2, "left": 0.01}
    history.rows["look"].append(look | {"at": NOON})
    tasks = list(history.tasks.values()) if everything else history.sample
    history.results(pack, f"{pass_scope(number)}/bench", tasks, 0.5)


def feedback_of(number: int, gate: str, state: str) -> Feedback:
    """The feedback for the proposer: an occasional climb while there are tasks left to win."""
    if state == "CONFIRMED":
        return Feedback(value=1.0 if number < 50 * MOST_CLIMBS else 0.0)
    violations = {"rule": 0.5} if state != "HELD" else {}
    return Feedback(value=0.0 if gate in ("promotion", "watch") else None, violations=violations)


def write_history(root: Path, tasks: dict[str, Task], count: int) -> None:
    """A workspace with so many passes, the last of them open."""
    workspace = Workspace(root)
    SqlStore(workspace.database, create=True).close()
    workspace.events.parent.mkdir(parents=True, exist_ok=True)
    history = History(workspace, tasks)
    connection = sqlite3.connect(workspace.database)
    connection.execute("PRAGMA synchronous=OFF")
    begin(history)
    for number in range(1, count + 1):
        one_pass(history, number, count)
        if number % 2000 == 0:
            history.flush(connection)
    history.rows["taught"] += (
        {"task_id": task_id, "poison_pass": poison} for task_id, poison in history.taught.items()
    )
    history.flush(connection)
    with contextlib.closing(SqlStore(workspace.database)) as store:
        # What a loop adds up stage by stage.
        connection.execute("INSERT INTO spent (id, cost) VALUES (1, ?)", (store.spent().model_dump_json(),))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    vouch_for_all(workspace.database)
    store = SqlStore(workspace.database)
    head = store.head()
    project_events(workspace.events, lambda seq: store.each_event(after=seq, last=head.size))
    sign_head(workspace, store, head, NOON)
    store.close()
