"""The trial: every command on workspaces that something has befallen, with the exit codes of `trial.tsv`.

No try ends in a traceback, and none loses anything: a live version, a decision, a checkpoint, a key, a pack, a report.
Some of the tries run in CI, all of them are marked slow.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import night
import pytest
import trials
from holdings import holdings, lost
from program import autosurgeon
from readonly import Done, run_read_only, unavailable
from trials import ELSEWHERE, READING, REMOVES, SITUATIONS, WRITING
from workspaces import PASSES, finish_workspace

from autosurgeon import wiring
from autosurgeon.audit import render_reports
from autosurgeon.bench import machine_sanity
from autosurgeon.config import shipped
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import EXITS, ExitCode

TABLE = Path(__file__).with_name("trial.tsv")
IN_CI = 17
"""Of so many tries, CI runs one."""
MEMORY_BYTES = 8 << 30
WAYS = {"read-only mount": "mount", "another user": "user"}
PIPED = ("status", "pass list", "audit log --json", "pack list", "report 1", "audit verify", "anchors list")


class Try(NamedTuple):
    """A command in a situation."""

    situation: str
    command: str


class Ground(NamedTuple):
    """The finished workspace that is copied for each try, and what lies beside it."""

    folder: Path

    @property
    def template(self) -> Path:
        return self.folder / "template"

    @property
    def inputs(self) -> Path:
        return self.folder / "inputs"

    def befallen(self, situation: str) -> Path:
        """A workspace that something has befallen, made at first asking."""
        root = self.folder / "situations" / situation
        if not root.exists():
            shutil.copytree(self.template, root)
            SITUATIONS[situation](root)
        return root

    @contextlib.contextmanager
    def copy(self, situation: str = "whole") -> Iterator[tuple[Path, Path]]:
        """A copy of a workspace, and a folder for what is written elsewhere."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            root, out = Path(folder) / "workspace", Path(folder) / "out"
            Path(folder).chmod(0o755)
            copy_sparsely(self.befallen(situation), root)
            out.mkdir()
            out.chmod(0o777)
            yield root, out

    def words(self, command: str, root: Path, out: Path) -> list[str]:
        """A command's words."""
        names = {"root": root, "out": out, "inputs": self.inputs, "bd62": shipped("policies", "bd62.yaml")}
        names |= {"evidence": self.folder / "evidence.json", "results": self.folder / "results.jsonl"}
        names["pack"] = Path(Workspace(self.template).live_file.read_text().split('"pack": "')[1][:64])
        words = [word.format(**names) for word in command.split()]
        takes = command in READING + WRITING + PIPED and "{root}" not in command.replace("{root}/organ", "")
        return [*words, "--workspace", str(root)] if takes else words


def copy_sparsely(source: Path, target: Path) -> None:
    """A copy of a folder; of a huge file without content, another one."""

    def copy(file: str, other: str) -> None:
        if os.path.getsize(file) >= 1 << 30:
            Path(other).touch()
            os.truncate(other, os.path.getsize(file))
        else:
            shutil.copy2(file, other)

    shutil.copytree(source, target, symlinks=True, copy_function=copy)


def listed() -> list[Try]:
    """Every try."""
    found = [Try(situation, command) for situation in SITUATIONS for command in (*READING, *WRITING)]
    found += [Try(situation, command) for situation in ("at work", "twice") for command in (*READING, *WRITING)]
    found += [Try("whole", command) for command in ELSEWHERE]
    found += [Try(way, command) for way in WAYS for command in (*READING, *WRITING)]
    return [*found, *(Try("closed pipe", command) for command in PIPED)]


def table() -> dict[Try, int]:
    """The exit code of each try."""
    rows = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()]
    return {Try(situation, command): int(code) for code, situation, command in rows}


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        ground = Ground(Path(folder))
        ground.folder.chmod(0o755)
        ground.template.mkdir()
        finish_workspace(ground.template)
        ground.inputs.mkdir()
        trials.lay_out_inputs(ground.inputs)
        (ground.folder / "evidence.json").write_text('{"phase": "smoke", "evidence": {"smoke.lost": 0}}')
        (ground.folder / "results.jsonl").write_text("")
        yield ground


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs have scripted capsules and no pictures, and no command has memory without end."""
    monkeypatch.setattr(wiring, "open_loop", lambda *arguments: night.small_theatre(PASSES + 1, "story", *arguments))
    for module, name, value in (
        (render_reports, "plot_loss", lambda *_, **__: b""),
        (render_reports, "plot_wins", lambda *_, **__: b""),
        (machine_sanity, "MOST", 1),
    ):
        monkeypatch.setattr(module, name, value)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


def run_try(ground: Ground, one: Try) -> tuple[int, list[str]]:
    """A try's exit code, and what is wrong with it."""
    situation = one.situation if one.situation in SITUATIONS else "whole"
    with ground.copy(situation) as (root, out), contextlib.ExitStack() as stack:
        words = ground.words(one.command, root, out)
        if one.situation == "twice":
            autosurgeon(*words)
        elif one.situation == "at work":
            stack.enter_context(trials.at_work(root))
        elif one.situation == "closed pipe":
            return piped(words)
        before = holdings(root)
        done = autosurgeon(*words)
        found = Done(done.returncode, done.stdout, done.stderr)
        return found.code, wrong(found) + lost(before, holdings(root), removes(one.command))


def removes(command: str) -> tuple[str, ...]:
    """The beginnings of the paths that a command may change."""
    return next((paths for words, paths in REMOVES.items() if command.startswith(words)), ())


def wrong(done: Done) -> list[str]:
    """What no command may do, wherever it is run."""
    found = ["a traceback"] if "Traceback" in done.err + done.out else []
    found += ["an exit code of no meaning"] if done.code not in EXITS or done.code == ExitCode.FAULT else []
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    found += ["no line of error"] if done.code in (2, 3, 4, 6) and not errors and "Usage: " not in done.err else []
    found += [f"the line of error controls the terminal: {done.err[:300]!r}"] if "\x1b" in done.err else []
    return [f"{what}: {done.err[-600:]}" for what in found]


def piped(words: Sequence[str]) -> tuple[int, list[str]]:
    """A try whose reader has gone."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "autosurgeon", *words]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(write)
    return done.returncode, wrong(Done(done.returncode, "", done.stderr))


def run_read_only_tries(ground: Ground, way: str, tries: Sequence[Try]) -> dict[Try, tuple[int, list[str]]]:
    """Tries on one workspace that cannot be written."""
    with ground.copy() as (root, out):
        before = holdings(root)
        done = run_read_only(WAYS[way], root, [ground.words(one.command, root, out) for one in tries])
        changed = [] if holdings(root) == before else ["the workspace was changed"]
        return {one: (each.code, wrong(each) + changed) for one, each in zip(tries, done, strict=True)}


def outcomes(ground: Ground, chosen: Sequence[Try]) -> dict[Try, tuple[int, list[str]]]:
    """The code of each try, and what is wrong with it."""
    found: dict[Try, tuple[int, list[str]]] = {}
    for way in WAYS:
        tries = [one for one in chosen if one.situation == way]
        if tries and unavailable(WAYS[way]) is None:
            found |= run_read_only_tries(ground, way, tries)
    for one in chosen:
        if one.situation not in WAYS:
            found[one] = run_try(ground, one)
    return found


def faults(ground: Ground, chosen: Sequence[Try]) -> list[str]:
    """Each try that does not end as the table has it, or that is wrong otherwise."""
    wanted, found = table(), []
    for one, (code, problems) in outcomes(ground, chosen).items():
        if code != wanted[one]:
            problems = [f"exit code {code}, not {wanted[one]}", *problems]
        found += [f"{one.situation}: {one.command}: {problem}" for problem in problems]
    return found


def test_the_table_has_every_try() -> None:
    assert set(table()) == set(listed())
    assert len(table()) >= 200


def test_some_tries_end_as_the_table_has_it_and_lose_nothing(ground: Ground) -> None:
    assert faults(ground, listed()[::IN_CI]) == []


@pytest.mark.slow
def test_every_try_ends_as_the_table_has_it_and_loses_nothing(ground: Ground) -> None:
    assert faults(ground, listed()) == []
