"""`autosurgeon run` as it is called, on a small world whose model is scripted."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import night
import program
import pytest
from fakes import ScriptedCapsules
from theatre import learns_some, without_pictures

from autosurgeon import wiring
from autosurgeon.config import shipped
from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.task import Split
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.policy.load import load_policy
from autosurgeon.store.sqlstore import SqlStore

BD62, STRICT = shipped("policies", "bd62.yaml"), shipped("policies", "strict.yaml")


class PowerCut(BaseException):
    """Ends the process where it stands."""


@contextlib.contextmanager
def scripted_workspace(root: Path) -> Iterator[Path]:
    """A workspace of a small world; `leave_open` cuts its next training."""
    real = wiring.open_loop
    night.lay_out(root, None, "story")

    def cut(job: Value) -> None:
        if isinstance(job, TrainJob) and (root / "cut").exists():
            (root / "cut").unlink()
            raise PowerCut

    @contextlib.contextmanager
    def scripted(*arguments: Any) -> Iterator[Instruments]:
        with real(*arguments) as ins:
            yield dataclasses.replace(ins, capsules=ScriptedCapsules(dict(ins.tasks), learns_some, cut))

    with without_pictures(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "lab_tasks", lambda: night.story_tasks({**night.SIZES, Split.GATE: 30}))
        patch.setattr(wiring, "open_loop", scripted)
        yield root


def digest_of(path: Path, **params: Any) -> str:
    return load_policy(path, params).digest[:12]


def policy_file(path: Path, name: str = "mine", rules: str = "", params: str = "") -> Path:
    path.write_text(f"schema: autosurgeon.policy/1\nname: {name}\ninclude: [{BD62}]\n{params}{rules}")
    return path


def started(workspace: Path, *arguments: object) -> list[str]:
    """The lines of a run of one pass that ends well."""
    done = program.autosurgeon("run", "-n", 1, "-w", workspace, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def leave_open(workspace: Path, *arguments: object) -> None:
    """A pass that was cut in its training."""
    (workspace / "cut").touch()
    with pytest.raises(PowerCut):
        program.autosurgeon("run", "-n", 1, "-w", workspace, *arguments)


def shown(workspace: Path, *command: object) -> Any:
    done = program.autosurgeon(*command, "-w", workspace, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def acts_of(workspace: Path) -> list[Any]:
    store = SqlStore(Workspace(workspace).database)
    try:
        return [entry.act for entry in store.acts()]
    finally:
        store.close()


def add_setting(workspace: Path, line: str) -> None:
    config = workspace / "autosurgeon.toml"
    config.write_text(f"{line}\n{config.read_text()}")
