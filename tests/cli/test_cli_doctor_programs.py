"""`doctor` looks at the programs of commands: one that could not be started is a finding with what mends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctored import SECRET, finding, script

from autosurgeon.cli.checks import Finding


@pytest.mark.parametrize("setting", ["notify.command", "deploy.promote", "deploy.revert"])
@pytest.mark.parametrize(
    ("name", "content", "mode", "problem"),
    [
        ("absent", None, 0, "does not exist"),
        ("folder", "", 0o755, "this is not a program"),
        ("plain", "#!/bin/sh\n", 0o644, "`chmod +x"),
        ("bare", "echo hello\n", 0o755, "no #! line"),
        ("lost", "#!/no/such/interpreter\n", 0o755, "names no usable interpreter"),
        ("windows", "#!/bin/sh\r\n", 0o755, "names no usable interpreter"),
        ("empty", "", 0o755, "no #! line"),
    ],
)
def test_a_command_that_cannot_be_started_is_a_finding(
    tmp_path: Path, setting: str, name: str, content: str | None, mode: int, problem: str
) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    table, key = setting.split(".")
    other = "promote = ['true']\n" if key == "revert" else ""
    found = finding(tmp_path, f"[{table}]\n{other}{key} = ['./{name}', '{SECRET}']\n", setting)
    assert not found.ok
    assert problem in found.found


def test_a_command_is_found_beside_the_config_file_and_a_bare_name_in_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "page", "#!/bin/sh\n")
    monkeypatch.chdir("/")
    assert finding(tmp_path, "[notify]\ncommand = ['./page']\n", "notify.command") == Finding(
        "notify.command", True, str(tmp_path / "page")
    )
    assert finding(tmp_path, "[notify]\ncommand = ['sh', 'x']\n", "notify.command").ok
    lost = finding(tmp_path, "[notify]\ncommand = ['no-such-program']\n", "notify.command")
    assert (lost.ok, "not in PATH" in lost.found) == (False, True)
