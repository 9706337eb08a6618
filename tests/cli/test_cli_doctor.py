"""What `doctor` says of how capsules are ended on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autosurgeon.cli.main import app
from autosurgeon.errors import UserError
from autosurgeon.runner.cgroup import make_cgroup, own_cgroup, remove_cgroup


def finding(workspace: Path, check: str) -> tuple[bool, str]:
    done = CliRunner().invoke(app, ["doctor", "--json", "--workspace", str(workspace)], catch_exceptions=False)
    (found,) = [one for one in json.loads(done.output) if one["check"] == check]
    return found["ok"], str(found["found"])


def said_of_the_end(workspace: Path) -> str:
    holds, found = finding(workspace, "capsules' end")
    assert holds
    return found


@pytest.fixture
def no_other_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """The jail's promises take seconds, and are tried elsewhere."""
    monkeypatch.setattr("autosurgeon.bench.jail_selfcheck.check_jail", lambda grading: [])


def interpreter(folder: Path, says: str, status: int = 0) -> str:
    """An interpreter of capsules that says this of its GPUs."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\ncase \"$2\" in *cuda*) echo '{says}'; exit {status};; esac\necho '{{}}'\n")
    program.chmod(0o755)
    (folder / "autosurgeon.toml").write_text(f'[capsule]\npython = "{program}"\nmemory_gib = 1000000\n')
    return str(program)


@pytest.mark.usefixtures("no_other_check")
def test_doctor_says_where_capsules_have_cgroups(tmp_path: Path) -> None:
    group = make_cgroup(own_cgroup())
    if group is None:
        pytest.skip("no cgroup v2 that this process may divide")
    remove_cgroup(group)
    interpreter(tmp_path, "[]")
    assert f"below {own_cgroup()} and is killed as a whole" in said_of_the_end(tmp_path)
    assert not list(group.parent.glob(f"{group.name.rsplit('-', 1)[0]}-*"))


@pytest.mark.usefixtures("no_other_check")
def test_doctor_says_what_may_outlive_a_capsule_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosurgeon.runner.cgroup.own_cgroup", lambda: tmp_path)
    interpreter(tmp_path, "[]")
    assert "no delegated cgroup v2" in said_of_the_end(tmp_path)


@pytest.mark.usefixtures("no_other_check")
def test_doctor_names_the_gpus_that_capsules_will_use(tmp_path: Path) -> None:
    interpreter(tmp_path, '[["NVIDIA H200", 150110011392]]')
    assert finding(tmp_path, "device") == (True, "NVIDIA H200, 140 GiB")


@pytest.mark.usefixtures("no_other_check")
@pytest.mark.parametrize("there", [True, False])
def test_doctor_tells_no_gpu_from_one_that_torch_cannot_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    interpreter(tmp_path, "[]")
    monkeypatch.setattr("autosurgeon.cli.doctor.shutil.which", lambda name: "nvidia-smi" if there else None)
    holds, found = finding(tmp_path, "device")
    assert holds != there
    assert ("that torch cannot use" if there else "compute on the CPU") in found


@pytest.mark.usefixtures("no_other_check")
def test_doctor_says_when_a_capsule_may_take_more_memory_than_there_is(tmp_path: Path) -> None:
    interpreter(tmp_path, "[]")
    holds, found = finding(tmp_path, "memory")
    assert holds
    assert (
        "a capsule may use 1e+06 GiB (setting capsule.memory_gib), more than there is, so the kernel would kill it"
        in found
    )


@pytest.mark.usefixtures("no_other_check")
def test_a_torch_that_does_not_start_is_a_finding_and_no_traceback(tmp_path: Path) -> None:
    interpreter(tmp_path, "no torch", status=1)
    holds, found = finding(tmp_path, "device")
    assert not holds
    assert "torch does not answer" in found


@pytest.mark.usefixtures("no_other_check")
def test_a_jail_that_this_machine_does_not_have_is_a_finding_and_no_end_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(grading: object) -> list[object]:
        raise UserError("this machine has no such jail", got="bwrap")

    monkeypatch.setattr("autosurgeon.bench.jail_selfcheck.check_jail", absent)
    interpreter(tmp_path, "[]")
    assert finding(tmp_path, "jail: level") == (False, "this machine has no such jail; got bwrap")
