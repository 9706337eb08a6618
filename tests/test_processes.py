"""The process tree, of real processes."""

from __future__ import annotations

import os
import subprocess
import sys

from autosurgeon.processes import children, descendants

CHAIN = (
    "import subprocess, sys\n"
    "code = \"print('here', flush=True); input()\"\n"
    "subprocess.run([sys.executable, '-c', code], start_new_session=True)\n"
)


def test_children_and_theirs_are_found_whatever_session_they_are_in() -> None:
    process = subprocess.Popen([sys.executable, "-c", CHAIN], stdin=-1, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    (grandchild,) = children(process.pid)
    assert process.pid in children(os.getpid())
    assert grandchild not in children(os.getpid())
    found = descendants(os.getpid())
    assert found.index(process.pid) < found.index(grandchild)
    assert descendants(grandchild) == []
    process.communicate(b"\n")
    assert process.pid not in descendants(os.getpid())
    assert children(process.pid) == []
