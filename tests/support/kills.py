"""Nights that are killed: a server that forks them, templates to begin from, and undisturbed ones to compare with."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from databases import Place
from invariants import State, check, check_faulted, state_of
from night import SCENARIOS

from autosurgeon.core.hash_chain import Head

HERE = Path(__file__).parent
PASSES = 4
DISTINCT = (3, 4)
RUN_AS = {"damaged": "story", "deploy": "story"}
"""The story that a scenario is, once its template is made."""
"""Exit codes of a loop that the store or the disk let down."""
DEPLOY = """
if [ $AUTOSURGEON_ACTION = promote ] && [ $(tail -c 2 {folder}/model.safetensors | od -An -tu2) = 4 ]; then exit 3; fi
echo {pack} > served
"""
"""A runtime that is a file; it does not take what pass 4 made."""


class Ended(NamedTuple):
    """How a night ended."""

    status: int
    """Exit code; minus the signal that killed it."""
    hung: bool
    left: list[str]
    """Command lines of processes that outlived it."""
    output: str
    injected: bool
    """Whether strace came to make a call fail."""


class Nights:
    """Runs nights in a folder; every template and reference is made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()
        self._templates: dict[tuple[str, int], Path] = {}
        self._states: dict[tuple[str, int, int], State] = {}
        command = [sys.executable, str(HERE / "night.py"), "--serve"]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.runs = self.killed = 0
        self._idle_s = 0.4
        self._read()

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    @property
    def slowness(self) -> float:
        """How long a start takes that finds nothing to do, in units of 0.4 s: the machine may be busy."""
        return max(1.0, self._idle_s / 0.4)

    def run(
        self,
        root: Path,
        passes: int,
        *,
        scenario: str = "story",
        fail: str | None = None,
        kill_after: float | None = None,
        inject: str | None = None,
        store: str | None = None,
    ) -> Ended:
        """One start of the loop on a workspace, to its end or its death; `inject` is what strace does to it."""
        arguments = [str(root), "--passes", str(passes), "--scenario", RUN_AS.get(scenario, scenario)]
        arguments += ["--store", store] if store else []
        return self._ask(root, arguments, fail=fail, kill_after=kill_after, inject=inject)

    def _ask(self, root: Path, arguments: list[str], **how: Any) -> Ended:
        output = self.folder / f"{root.name}.out"
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps({"arguments": arguments, "output": str(output), **how}) + "\n")
        self._server.stdin.flush()
        answer = self._read()
        self.runs += 1
        self.killed += answer["status"] == -9
        printed = output.read_text(errors="replace") if output.exists() else ""
        traced = Path(f"{output}.strace")
        injected = how.get("inject") is not None and "(INJECTED)" in traced.read_text(errors="replace")
        ended = Ended(answer["status"], answer["hung"], answer["left"], printed, injected)
        assert not ended.left, f"I6: {ended.left}"
        return ended

    def workspace(self, begun: int = 0, scenario: str = "story") -> Path:
        """A fresh workspace, whose first passes were undisturbed."""
        root = self.folder / f"night-{next(self._numbers)}"
        if begun or scenario != "story":
            shutil.copytree(self._template(begun, scenario), root)
            config = root / "autosurgeon.toml"
            config.write_text(config.read_text().replace(str(self._template(begun, scenario)), str(root)))
        return root

    def reference(self, passes: int, begun: int = 0, scenario: str = "story") -> State:
        """The end of the undisturbed story."""
        key = (scenario, begun, passes)
        if key not in self._states:
            root = self.workspace(begun, scenario)
            self.end(root, passes, scenario)
            began = time.monotonic()
            self.end(root, passes, scenario)
            self._idle_s = time.monotonic() - began
            self._states[key] = state_of(root)
            shutil.rmtree(root)
        return self._states[key]

    def end(self, root: Path, passes: int, scenario: str = "story") -> None:
        """A start that nothing disturbs."""
        ended = self.run(root, passes, scenario=scenario)
        assert ended.status == 0, ended.output

    def recovered(self, root: Path, passes: int, heads: list[Head], begun: int = 0, scenario: str = "story") -> None:
        """Restart to the end and check everything; the workspace is gone then."""
        self.end(root, passes, scenario)
        check(root, self.reference(passes, begun, scenario), heads)
        shutil.rmtree(root)

    def looked_at(self, root: Path, store: Place | None = None) -> list[Head]:
        """The chain's head after a fault, what holds at every moment having been checked."""
        head = check_faulted(root, store) if root.exists() else None
        return [head] if head else []

    def _template(self, begun: int, scenario: str) -> Path:
        assert scenario in SCENARIOS
        key = (scenario, begun)
        if key not in self._templates:
            if scenario == "story":
                root = self.folder / f"template-{begun}"
                self.end(root, begun)
            else:
                # Another scenario begins as the story does.
                root = self.workspace(begun)
            self._prepare(root, scenario)
            self._templates[key] = root
        return self._templates[key]

    def _prepare(self, root: Path, scenario: str) -> None:
        """What a scenario needs before its first start."""
        if scenario == "damaged":
            # Stopped between merge and bench; what was merged is damaged before the pass goes on.
            before = set((root / "data" / "packs").glob("*"))
            arguments = [str(root), "--passes", str(PASSES), "--scenario", "damaged"]
            assert self._ask(root, arguments).status == 0
            (merged,) = set((root / "data" / "packs").glob("*")) - before
            weights = bytearray((merged / "model.safetensors").read_bytes())
            weights[-1] ^= 1
            (merged / "model.safetensors").write_bytes(weights)
        elif scenario == "deploy":
            with (root / "autosurgeon.toml").open("a") as settings:
                settings.write(f'\n[deploy]\npromote = ["sh", "-c", """{DEPLOY}"""]\n')
        elif scenario == "full":
            config = root / "autosurgeon.toml"
            config.write_text(config.read_text().replace("ballast_mib = 0", "ballast_mib = 1"))

    def _read(self) -> Any:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, "the night server died"
        return json.loads(line)
