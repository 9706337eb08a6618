"""Failpoints: listed, each in one place of the code, inert unless armed, and failing as they are armed."""

from __future__ import annotations

import ast
import errno
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import autosurgeon
from autosurgeon.errors import UserError
from autosurgeon.failpoints import FAILPOINTS, arm, parse, reach


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm(None)


def _reached() -> Counter[str]:
    """The failpoints by name, with how many places of the package pass them."""
    names: Counter[str] = Counter()
    for file in Path(autosurgeon.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach":
                assert isinstance(node.args[0], ast.Constant)
                names[str(node.args[0].value)] += 1
    return names


def test_each_listed_failpoint_stands_at_one_place_of_the_code_and_no_other_does() -> None:
    assert _reached() == dict.fromkeys(FAILPOINTS, 1)


def test_there_are_at_least_twenty_five_of_them() -> None:
    assert len(FAILPOINTS) >= 25


def test_none_does_anything_unless_it_is_armed() -> None:
    for name in FAILPOINTS:
        reach(name)


@pytest.mark.parametrize(("action", "number"), [("eio", errno.EIO), ("enospc", errno.ENOSPC)])
def test_an_armed_one_fails_at_its_passage_and_at_no_other(action: str, number: int) -> None:
    arm(f"decided:{action}:3")
    reach("decided")
    reach("judged")
    reach("decided")
    with pytest.raises(OSError, match="failpoint decided") as caught:
        reach("decided")
    assert caught.value.errno == number
    reach("decided")


def test_kill_is_a_real_sigkill() -> None:
    code = "from autosurgeon.failpoints import arm, reach; arm('judged:kill'); reach('judged'); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")


def test_hang_waits_for_ever() -> None:
    code = "from autosurgeon.failpoints import arm, reach; arm('judged:hang'); print(flush=True); reach('judged')"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("text", ["", "judge:kill", "judged", "judged:explode", "judged:kill:0", "judged:kill:x"])
def test_a_failpoint_that_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse(text)


def test_the_program_refuses_an_unknown_one_and_lists_the_known_ones() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from autosurgeon.cli.main import main; main()", "--version"],
        env=os.environ | {"AUTOSURGEON_FAIL": "desided:kill"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "did you mean 'decided'?" in done.stderr
