"""A child process in which packages cannot be imported, as where an install is broken or was taken apart."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HOOK = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise {error}
sys.meta_path.insert(0, Hidden())
"""
MISSING = 'ModuleNotFoundError(f"No module named {name!r}", name=name)'


def hide(folder: Path, *names: str, error: str = MISSING) -> Path:
    """A folder that hides top-level packages from each interpreter that has it on PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(HOOK.format(names=names, error=error), encoding="utf-8")
    return folder


def autosurgeon_without(
    folder: Path, name: str, *arguments: object, error: str = MISSING
) -> subprocess.CompletedProcess[str]:
    """The program in an environment that lacks a package."""
    environment = os.environ | {"PYTHONPATH": str(hide(folder, name, error=error))}
    command = [sys.executable, "-m", "autosurgeon", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


def python_without(folder: Path, *names: str) -> Path:
    """An interpreter, as a setting may name it, that lacks packages."""
    hide(folder, *names)
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program
