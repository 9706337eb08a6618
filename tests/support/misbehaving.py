"""An interpreter for `capsule.python` whose capsules run a given body instead of their job; the rest is real."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path

PROGRAM = """
import ctypes, os, signal, subprocess, sys, time
import autosurgeon.capsule.__main__ as capsule_main
from autosurgeon.capsule.workdir import Progress, beat

def verb(job, workdir):
{body}

capsule_main.verb_of = lambda name: verb
{first}
sys.exit(capsule_main.main(sys.argv[3:]))
"""


def interpreter(folder: Path, body: str, *, first: str = "") -> str:
    """Return an interpreter whose verbs run `body` with `job` and `workdir`; `first` runs in the fork server."""
    folder.mkdir(parents=True, exist_ok=True)
    program, script = folder / "capsule_main.py", folder / "python"
    program.write_text(
        PROGRAM.format(body=textwrap.indent(textwrap.dedent(body), "    "), first=first), encoding="utf-8"
    )
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return str(script)


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def still_running(pids: Iterable[int], within_s: float) -> list[int]:
    """Return the processes that still run after so many seconds, or as soon as none does."""
    deadline = time.monotonic() + within_s
    left = list(pids)
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [pid for pid in left if is_running(pid)]
    return left


def written_pids(file: Path, count: int, within_s: float = 60.0) -> list[int]:
    """Return the process ids that a capsule wrote to a file, once there are `count`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            pids = file.read_text(encoding="ascii").split("\n")[:-1]
            if len(pids) >= count:
                return [int(pid) for pid in pids]
        time.sleep(0.02)
    raise AssertionError(f"no {count} process ids in {file}")
