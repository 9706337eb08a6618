"""The tries of the trial: what has befallen a workspace, and the commands that are then run on it.

A situation is made in a copy of a finished workspace. A command is words in which `{root}` is that copy, `{out}` a
folder for what is written elsewhere, `{inputs}` a folder of files that are none, and `{pack}` the live pack.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import night

from autosurgeon.core.workspace import Workspace
from autosurgeon.failpoints import VARIABLE
from autosurgeon.store.lock import workspace_lock

READING = (
    "status --json",
    "pass show 1",
    "pack list",
    "pack verify",
    "anchors list",
    "audit log",
    "audit verify",
    "audit export --out {out}/statements",
    "report 1",
    "study",
    "policy replay {root}",
    "backup {out}/backup.tar",
)
WRITING = (
    "run --passes 1",
    "stop",
    "pause",
    "resume",
    "override 2 --verdict accept --reason why --expires +1h",
    "pack revert --reason why",
    "pack pin {pack} --reason why",
    "pack unpin {pack} --reason why",
    "pack gc --reason why",
    "pack export {pack} --format gguf --out {out}/pack.gguf",
    "anchors quarantine b/gate-0 --reason why --expires +1h",
    "audit rotate-key --reason why",
    "restore --reason why",
    "init --organ {root}/organ",
)
ELSEWHERE = tuple(
    f"{command} {{inputs}}/{name}"
    for command in (
        "policy check",
        "policy test",
        "policy diff {bd62}",
        "policy replay",
        "policy judge --evidence",
        "policy judge --evidence {evidence} --policy",
        "bench check --jail plain --jobs 1 --format native --tasks",
        "bench grade --jail plain --jobs 1 --format native --out {out}/r.jsonl --tasks {root}/tasks.jsonl --samples",
        "bench grade --jail plain --jobs 1 --format mbpp --out {out}/r.jsonl --samples {root}/tasks.jsonl --tasks",
        "bench compare {results}",
        "audit verify --workspace {root} --against",
        "restore --workspace {out}/restored --from",
        "status --workspace",
        "run --passes 1 --workspace {root} --config",
        "run --passes 1 --workspace {root} --policy",
    )
    for name in ("missing", "truncated", "huge", "hostile", "newer", "nan", "deep", "binary", "folder", "empty")
)
"""Commands that read a file which a person names, given files that are none of what they want."""
REMOVES = {"pack gc": ("data/packs/",), "audit rotate-key": ("data/keys/",), "init": ("autosurgeon.toml",)}
"""The commands that are there to change or remove something that is kept otherwise, and the beginnings of its paths."""

Befall = Callable[[Path], None]


def _cut(path: str, part: float = 0.5) -> Befall:
    def befall(root: Path) -> None:
        for file in sorted(root.glob(path))[-1:]:
            file.write_bytes(file.read_bytes()[: int(file.stat().st_size * part)])

    return befall


def _remove(*patterns: str) -> Befall:
    def befall(root: Path) -> None:
        for pattern in patterns:
            for path in list(root.glob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    return befall


def _replace(pattern: str, content: str | bytes) -> Befall:
    raw = content.encode() if isinstance(content, str) else content

    def befall(root: Path) -> None:
        for path in [one for one in root.glob(pattern) if one.is_file()] or [root / pattern]:
            path.unlink(missing_ok=True)
            path.write_bytes(raw)

    return befall


def _append(path: str, content: str | bytes) -> Befall:
    raw = content.encode() if isinstance(content, str) else content

    def befall(root: Path) -> None:
        with (root / path).open("ab") as file:
            file.write(raw)

    return befall


def _sql(statement: str) -> Befall:
    def befall(root: Path) -> None:
        with contextlib.closing(sqlite3.connect(Workspace(root).database)) as connection, connection:
            connection.execute(statement)

    return befall


def _huge(path: str) -> Befall:
    def befall(root: Path) -> None:
        (root / path).unlink(missing_ok=True)
        with (root / path).open("wb") as file:
            file.truncate(1 << 33)

    return befall


def _killed(failpoint: str) -> Befall:
    def befall(root: Path) -> None:
        words = [sys.executable, str(Path(night.__file__)), str(root), "--passes", "4"]
        environment = {**os.environ, VARIABLE: f"{failpoint}:kill"}
        done = subprocess.run(words, capture_output=True, check=False, timeout=120, env=environment)
        assert done.returncode == -9, done.stderr

    return befall


def _folder(path: str) -> Befall:
    def befall(root: Path) -> None:
        (root / path).unlink(missing_ok=True)
        (root / path).mkdir()

    return befall


DATABASE, LIVE = "data/autosurgeon.db", "data/live.json"
HOSTILE = "\x1b]0;owned\x07\u202e<script>alert(1)</script>${{jndi}}`id`\x00../../../../etc/passwd\ud7ff\r\n"
SITUATIONS: dict[str, Befall] = {
    "whole": lambda root: None,
    "no database": _remove(f"{DATABASE}*"),
    "empty database": _replace(DATABASE, ""),
    "cut database": _cut(DATABASE),
    "database is text": _replace(DATABASE, HOSTILE * 1000),
    "database is a folder": _folder(DATABASE),
    "newer database": _sql("UPDATE alembic_version SET version_num = '9999'"),
    "another's database": _sql("ALTER TABLE pass RENAME TO theirs"),
    "no server": _append("autosurgeon.toml", '\n[store]\nurl = "postgresql://u:secret@127.0.0.1:1/night"\n'),
    "no live.json": _remove(LIVE),
    "cut live.json": _cut(LIVE),
    "newer live.json": _replace(LIVE, '{"format": "autosurgeon.live/9", "version": 9, "pack": 7}'),
    "live.json is ahead": _replace(LIVE, '{"format": "autosurgeon.live/1", "version": 9, "pack": 7}'),
    "live.json with NaN": _replace(LIVE, '{"format": "autosurgeon.live/1", "version": NaN, "pack": "a"}'),
    "live.json is deep": _replace(LIVE, "[" * 100_000),
    "no logs": _remove("logs"),
    "cut decision log": _cut("logs/decisions.jsonl", 0.9),
    "cut event log": _cut("logs/events.jsonl", 0.9),
    "hostile line in the logs": _append("logs/decisions.jsonl", HOSTILE.encode() + b'\xff{"decision_id": 1}\n'),
    "no checkpoints": _remove("logs/checkpoints"),
    "cut checkpoint": _cut("logs/checkpoints/*.json"),
    "forged checkpoint": _replace("logs/checkpoints/99999999.json", '{"payload": "e30=", "payloadType": "x"}'),
    "no private key": _remove("data/keys/private.pem"),
    "no public key": _remove("data/keys/public.json"),
    "no keys": _remove("data/keys"),
    "key is text": _replace("data/keys/private.pem", HOSTILE),
    "no packs": _remove("data/packs/*"),
    "cut pack": _cut("data/packs/*/model.safetensors", 0.9),
    "no manifest": _remove("data/packs/*/pack.json", "data/packs/*/manifest.json"),
    "no organ": _remove("organ"),
    "no tasks": _remove("tasks.jsonl"),
    "cut tasks": _cut("tasks.jsonl"),
    "no settings": _remove("autosurgeon.toml"),
    "cut settings": _cut("autosurgeon.toml", 0.11),
    "newer settings": _append("autosurgeon.toml", "\n[quantum]\nqubits = 5\n"),
    "settings with NaN": _append("autosurgeon.toml", "\n[search]\nlr_high = nan\n[statistics]\nalpha = inf\n"),
    "hostile settings": _append("autosurgeon.toml", '\n[audit]\ncheckpoint_copy = "a\\u0000b\\u001b[31m"\n'),
    "huge settings": _huge("autosurgeon.toml"),
    "hostile pins": _replace("data/pins.json", '[{"pack": "../../etc", "reason": 5}]'),
    "hostile requests": _replace("data/control.json", '{"word": "explode", "by": []}'),
    "lock is text": _replace("data/lock", HOSTILE),
    "killed in a stage": _killed("stage-committed"),
    "killed before the logs": _killed("decisions-appended"),
    "killed in a commit": _killed("transaction-written"),
}


@contextlib.contextmanager
def at_work(root: Path) -> Iterator[None]:
    """Another loop holds the workspace."""
    with workspace_lock(Workspace(root).lock):
        yield


def lay_out_inputs(folder: Path) -> None:
    """Files that a person may name, and that are none of what any command wants."""
    (folder / "truncated").write_text('schema: autosurgeon.policy/1\nname: a\nrules:\n  - {id: "x')
    with (folder / "huge").open("wb") as huge:
        huge.truncate(1 << 33)
    (folder / "hostile").write_bytes(HOSTILE.encode() + b"\xff\xfe")
    newer = {"schema": "autosurgeon.policy/9", "name": "n", "rules": [], "format": "autosurgeon.backup/9"}
    (folder / "newer").write_text(json.dumps(newer | {"task_id": "n/0", "phase": "future", "evidence": {}}) + "\n")
    (folder / "nan").write_text('{"smoke.lost": NaN, "recipe.epochs": Infinity, "task_id": NaN, "completion": -0.0}\n')
    (folder / "deep").write_text("[" * 100_000)
    (folder / "binary").write_bytes(bytes(range(256)) * 64)
    (folder / "folder").mkdir()
    (folder / "empty").touch()
