"""Commands on a workspace that cannot be written: behind a read-only mount, or as another user.

python readonly.py COMMANDS.json    prints a JSON list of [exit code, output, errors]
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from program import autosurgeon

MOUNT = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
WAYS = ("mount", "user")


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def unavailable(way: str) -> str | None:
    """Why a way of being read-only cannot be tried on this machine; None where it can."""
    if way == "mount":
        trial = ["unshare", *_namespaces(), "sh", "-c", MOUNT, "/tmp", "true"]
        can = shutil.which("unshare") and subprocess.run(trial, capture_output=True, check=False).returncode == 0
        return None if can else "no mount namespace here"
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return "only root becomes another user"
    probe = [*_as_another_user(), sys.executable, "-c", "import autosurgeon.cli.main"]
    can_import = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    return None if can_import else "another user cannot read this checkout"


def run_read_only(way: str, root: Path, commands: Sequence[Sequence[object]]) -> list[Done]:
    """Run commands, one after another in one process, for which the folder cannot be written."""
    listed = json.dumps([[str(word) for word in command] for command in commands])
    program = [sys.executable, __file__]
    if way == "mount":
        program = ["unshare", *_namespaces(), "sh", "-c", MOUNT, str(root), *program]
    else:
        program = [*_as_another_user(), *program]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "MPLCONFIGDIR": f"{folder}/matplotlib"}
        Path(folder).chmod(0o777)
        done = subprocess.run(
            program, input=listed, capture_output=True, text=True, check=False, timeout=300, cwd="/", env=environment
        )
    assert done.returncode == 0, done.stderr
    return [Done(*one) for one in json.loads(done.stdout)]


def _namespaces() -> list[str]:
    return ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--map-root-user"]


def _as_another_user() -> list[str]:
    account = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--"]


if __name__ == "__main__":
    results = [autosurgeon(*words) for words in json.load(sys.stdin)]
    sys.stdout.write(json.dumps([[done.returncode, done.stdout, done.stderr] for done in results]))
