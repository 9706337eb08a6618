"""A finished workspace that can be copied anywhere: its organ and its bench lie in it, named by relative paths."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import night

from autosurgeon.bench.formats.native import write_tasks

PASSES = 3


def finish_workspace(root: Path, passes: int = PASSES) -> Path:
    """Run a small night in a new folder: REJECTED, HELD and REVERTED, live at version 3."""
    night.lay_out(root, None, "story")
    config = root / "autosurgeon.toml"
    bench = '\n[benches.b]\ntasks = "tasks.jsonl"\nformat = "native"\n'
    config.write_text(config.read_text().replace(str(root / "organ"), "organ") + bench)
    write_tasks(root / "tasks.jsonl", night.story_tasks().values())
    done = run_night(root, passes)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def run_night(root: Path, passes: int) -> subprocess.CompletedProcess[str]:
    """Let a run go on until the workspace has so many passes, in a process of its own."""
    command = [sys.executable, str(Path(night.__file__)), str(root), "--passes", str(passes)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
