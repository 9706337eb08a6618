"""An interpreter for `capsule.python` whose capsules do something else than their job; all around them is real."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path

DOOR = """
import ctypes, os, signal, subprocess, sys, time
import autosurgeon.capsule.__main__ as door
from autosurgeon.capsule.workdir import Progress, beat

def verb(job, workdir):
{body}

door.verb_of = lambda name: verb
{first}
sys.exit(door.main(sys.argv[3:]))
"""


def interpreter(folder: Path, body: str, *, first: str = "") -> str:
    """One whose every verb has this body, with `job` and `workdir`; `first` is run in the keeper, before it serves."""
    folder.mkdir(parents=True, exist_ok=True)
    program, script = folder / "door.py", folder / "python"
    program.write_text(DOOR.format(body=textwrap.indent(textwrap.dedent(body), "    "), first=first), encoding="utf-8")
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return str(script)


def is_running(pid: int) -> bool:
    """Whether it is there and not only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def still_running(pids: Iterable[int], within_s: float) -> list[int]:
    """Those that run after so many seconds; returns as soon as none does."""
    deadline = time.monotonic() + within_s
    left = list(pids)
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [pid for pid in left if is_running(pid)]
    return left


def written_pids(file: Path, count: int, within_s: float = 60.0) -> list[int]:
    """The process ids that a capsule wrote down, once there are so many."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            pids = file.read_text(encoding="ascii").split("\n")[:-1]
            if len(pids) >= count:
                return [int(pid) for pid in pids]
        time.sleep(0.02)
    raise AssertionError(f"no {count} process ids in {file}")
