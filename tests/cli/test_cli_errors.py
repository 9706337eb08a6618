"""Bad input: one clear line, exit code 2, nothing lost."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from program import autosurgeon

from autosurgeon.cli import main
from autosurgeon.config import shipped
from autosurgeon.errors import DurabilityError, ExitCode
from autosurgeon.store.sqlstore import SqlStore

LAB = shipped("data", "lab", "base")
BD62 = shipped("policies", "bd62.yaml")


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error."""
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in done.stderr
    return lines[0]


def run_once(workspace: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return autosurgeon("run", "--passes", 1, "--workspace", workspace, *more)


def test_an_unknown_setting_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "autosurgeon.toml").write_text("[lab]\nstdin_rout = 'organ'\n")
    command = [sys.executable, "-m", "autosurgeon", "run", "--passes", "1", "--workspace", str(tmp_path)]
    real = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    for done in (real, run_once(tmp_path)):
        line = refused(done)
        assert "lab.stdin_rout" in line
        assert "did you mean 'stdin_route'" in line


def test_an_unknown_fact_is_named_with_its_line(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(BD62.read_text().replace("fact: smoke.lost", "fact: smoke.losst"))
    for done in (run_once(tmp_path, "--policy", policy), autosurgeon("policy", "check", policy)):
        line = refused(done)
        assert "unknown fact 'smoke.losst'; did you mean 'smoke.lost'?" in line
        assert f"{policy}:" in line


def test_a_policy_without_a_promotion_rule_promotes_nothing_and_is_refused(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    kept = [part for part in BD62.read_text().split("  - id: ") if "phase: promotion" not in part]
    policy.write_text("  - id: ".join(kept))
    assert "no binding rule for phase 'promotion'" in refused(run_once(tmp_path, "--policy", policy))


def test_a_missing_model_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "autosurgeon.toml").write_text(f"[organ]\nmodel = '{tmp_path}/nowhere'\n")
    assert "a model folder is missing" in refused(run_once(tmp_path))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl"])
def test_a_pickled_checkpoint_is_refused_by_name(tmp_path: Path, name: str) -> None:
    organ = tmp_path / "organ"
    shutil.copytree(LAB, organ)
    (organ / name).write_bytes(b"\x80\x04.")
    (tmp_path / "autosurgeon.toml").write_text(f"[organ]\nmodel = '{organ}'\n")
    assert name in refused(run_once(tmp_path))
    assert not (tmp_path / "data" / "packs").exists()


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    organ = tmp_path / "organ"
    shutil.copytree(LAB, organ)
    weights = organ / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    (tmp_path / "autosurgeon.toml").write_text(f"[organ]\nmodel = '{organ}'\n")
    assert "cut short" in refused(run_once(tmp_path))


def test_a_workspace_of_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "data" / "autosurgeon.db"
    SqlStore(database, create=True).close()
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for done in (run_once(tmp_path), autosurgeon("status", "--workspace", tmp_path)):
        assert "newer autosurgeon" in refused(done)


def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "autosurgeon.db").write_bytes(b"not a database, surely" * 100)
    assert "cannot be opened" in refused(autosurgeon("status", "--workspace", tmp_path))


def test_a_second_loop_on_the_same_workspace_is_refused(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from autosurgeon.store.lock import workspace_lock\n"
            "with workspace_lock(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()",
            tmp_path / "data" / "lock",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        line = refused(run_once(tmp_path))
        assert "another loop works on this workspace" in line
        assert f"process {holder.pid}" in line
        holder.kill()


def test_a_wrong_flag_or_scenario_says_what_is_wanted(tmp_path: Path) -> None:
    assert "wanted bd62" in refused(run_once(tmp_path, "--scenario", "bd63"))
    done = run_once(tmp_path, "--passses", 1)
    assert done.returncode == 2
    assert "--passes" in done.stderr


def test_looking_at_a_workspace_that_is_none_says_how_to_make_one(tmp_path: Path) -> None:
    for command in (["status"], ["pass", "list"], ["pack", "list"], ["audit", "log"]):
        assert "autosurgeon run --workspace" in refused(autosurgeon(*command, "--workspace", tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["policy check", "policy schema", "--version"])
def test_a_reader_that_leaves_early_has_an_exit_code_of_its_own(command: str) -> None:
    closed, written = os.pipe()
    os.close(closed)
    with open(written, "wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "autosurgeon", *command.split()],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (ExitCode.CLOSED_PIPE, "")


def test_an_error_of_input_keeps_its_code_where_the_reader_has_left(tmp_path: Path) -> None:
    closed, written = os.pipe()
    os.close(closed)
    with open(written, "wb") as out:
        command = [sys.executable, "-m", "autosurgeon", "policy", "check", str(tmp_path / "none.yaml")]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (ExitCode.INPUT, 1)


def test_a_flush_that_the_disk_refuses_is_one_line_and_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise DurabilityError(Path("data/live.json"), OSError(errno.EIO, os.strerror(errno.EIO)))

    monkeypatch.setattr(main, "run_command", refuse)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: a write to the disk failed: Input/output error")
    assert "data/live.json" in line
