"""`doctor` tries the capsule's interpreter: one that is none, hangs or does not fit is a finding of one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctored import finding, findings, script

from autosurgeon.cli import doctor_capsule
from autosurgeon.cli.doctor_capsule import Interpreter
from autosurgeon.errors import UserError


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("#!/bin/sh\nexec sleep 60\n", "killed at its deadline"),
        ("#!/bin/sh\nexit 3\n", "ended with exit code 3"),
        ("#!/bin/sh\nexec cat\n", "this is not a Python interpreter"),
        ("#!/bin/sh\nexec yes no\n", "killed at its deadline"),
        ("#!/bin/sh\necho 5\n", "this is not a Python interpreter"),
        ("#!/bin/sh\necho '{\"python\": [3, 8]}'\n", "Python is too old; got 3.8"),
        ('#!/bin/sh\necho \'{"versions": {"torch": null}}\'\n', "torch not installed"),
        ('#!/bin/sh\necho \'{"versions": {"peft": "0.1"}, "unfit": ["peft>=0.20"]}\'\n', "got peft 0.1"),
        ("#!/bin/sh\necho '{\"own\": null}'\n", "no autosurgeon"),
        ("no program at all\n", "Exec format error"),
    ],
)
def test_an_interpreter_that_does_not_fit_is_one_line(
    tmp_path: Path, body: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_capsule, "START_S", 1.5 if "deadline" in problem else 30)
    python = script(tmp_path / "python", body)
    with pytest.raises(UserError) as caught:
        Interpreter(str(python)).stack()
    assert problem in str(caught.value)
    assert f"capsule.python: {python}" in str(caught.value)


def test_an_interpreter_that_does_not_start_is_not_waited_for_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_capsule, "START_S", 1.0)
    python = script(
        tmp_path / "python", "#!/bin/sh\necho x >> started\nexec sleep 60\n".replace("started", f"{tmp_path}/started")
    )
    text = f"[capsule]\npython = '{python}'\n"
    found = findings(tmp_path, text, "capsule stack", "device")
    assert "killed at its deadline" in found["capsule stack"].found
    assert "not checked" in found["device"].found
    assert (tmp_path / "started").read_text() == "x\n"


@pytest.mark.parametrize("python", ["/no/such/python", "no-such-python", "./folder"])
def test_an_interpreter_that_is_none_is_a_finding(tmp_path: Path, python: str) -> None:
    (tmp_path / "folder").mkdir()
    found = finding(tmp_path, f"[capsule]\npython = '{python}'\n", "capsule stack")
    assert (found.ok, "capsule.python" in found.found) == (False, True)


def test_this_interpreter_has_a_stack_that_fits() -> None:
    pytest.importorskip("torch")
    assert "torch 2." in Interpreter(None).stack()
