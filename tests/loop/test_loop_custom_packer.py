"""A user's own packer: its arguments, its recorded output, and that it leaves the whole file or none."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from autosurgeon.core.pack import Export
from autosurgeon.errors import UserError
from autosurgeon.loop.deploy.custom_packer import run_packer, split_command
from autosurgeon.loop.engine.user_command import KEPT_BYTES

DIGEST = "cd" * 32


def run(folder: Path, program: str, *arguments: str, deadline_s: float = 60) -> Export:
    """Run a Python program as the packer of an empty pack, with what it shall write as its last argument."""
    pack = folder / "pack with blanks"
    pack.mkdir(exist_ok=True)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    words = [sys.executable, "-c", program, *arguments, "{out}"]
    return run_packer(words, pack, DIGEST, out / "organ.planck", deadline_s)


def left(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "out").iterdir())


WRITES = "import pathlib, sys; pathlib.Path(sys.argv[-1]).write_text(' '.join(sys.argv[1:-1])); print('packed')"


def test_a_packer_receives_every_path_and_what_it_wrote_is_known_by_its_digest(tmp_path: Path) -> None:
    done = run(tmp_path, WRITES, "--m={manifest}", "{weights}", "{pack}", "{digest}", "$HOME;ls")
    written = (tmp_path / "out" / "organ.planck").read_text()
    pack = tmp_path / "pack with blanks"
    assert written == f"--m={pack}/manifest.json {pack}/model.safetensors {pack} {DIGEST} $HOME;ls"
    assert (done.exit_code, done.output, done.error) == (0, "packed\n", None)
    assert done.sha256 == hashlib.sha256(written.encode()).hexdigest()
    assert done.bytes == len(written)
    assert done.command[3] == f"--m={pack}/manifest.json"
    assert left(tmp_path) == ["organ.planck"]


@pytest.mark.parametrize(
    ("program", "code", "message"),
    [
        ("import sys; open(sys.argv[-1], 'w').write('half'); print('no such layer'); sys.exit(3)", 3, "no such layer"),
        ("import os, sys; open(sys.argv[-1], 'w').write('half'); os.kill(os.getpid(), 11)", 139, "exit code 139"),
        ("print('done')", 0, "wrote no file"),
        ("import sys; open(sys.argv[-1], 'w')", 0, "wrote no file"),
        ("import os, sys; os.symlink('/etc/hosts', sys.argv[-1])", 0, "wrote no file"),
        ("import os, sys; os.mkdir(sys.argv[-1])", 0, "wrote no file"),
    ],
)
def test_a_packer_that_fails_leaves_what_was_there_and_its_last_words(
    tmp_path: Path, program: str, code: int, message: str
) -> None:
    assert run(tmp_path, WRITES, "the last one").error is None
    done = run(tmp_path, program)
    assert (done.exit_code, done.sha256, done.bytes) == (code, None, None)
    assert done.error is not None and message in done.error
    assert left(tmp_path) == ["organ.planck"]
    assert (tmp_path / "out" / "organ.planck").read_text() == "the last one"


def test_a_packer_that_does_not_end_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys, time; open(sys.argv[-1], 'w').write('half');"
        f"child = subprocess.Popen(['sleep', '600']); open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid));"
        "print('begun', flush=True); time.sleep(600)"
    )
    done = run(tmp_path, program, deadline_s=2)
    assert (done.exit_code, done.error) == (None, "was killed at its deadline: begun")
    assert left(tmp_path) == []
    child, deadline = int((tmp_path / "child").read_text()), time.monotonic() + 10
    while alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not reaped does not."""
    try:
        os.kill(pid, signal.SIGCONT)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_only_the_end_of_what_a_packer_prints_is_kept(tmp_path: Path) -> None:
    done = run(tmp_path, f"print('x' * {3 * KEPT_BYTES}); import sys; sys.exit('the end \\udcff')")
    assert len(done.output) <= KEPT_BYTES
    assert done.output.rstrip().endswith("the end \\udcff")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("planck --weights {weights}", "{out} among its arguments"),
        ("{out}", "{out} among its arguments"),
        ("planck {wieghts} {out}", "did you mean 'weights'"),
        ("planck 'open {out}", "does not parse"),
        ("", "{out} among its arguments"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused_before_it_runs(command: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        split_command(command)
    assert message in str(refused.value)


def test_a_packer_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run_packer(["no-such-packer", "{out}"], tmp_path, DIGEST, tmp_path / "organ.planck", 10)
    assert done.error == "ended with exit code 127: no-such-packer: No such file or directory"
    assert list(tmp_path.iterdir()) == []
