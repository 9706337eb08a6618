"""Commands read the memory where the workspace's settings say that it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from autosurgeon.store.sqlstore import SqlStore


def run_list(workspace: Path, url: str) -> subprocess.CompletedProcess[str]:
    workspace.mkdir(exist_ok=True)
    (workspace / "autosurgeon.toml").write_text(f"[store]\nurl = {json.dumps(url)}\n")
    command = [sys.executable, "-m", "autosurgeon", "audit", "log", "--json", "--workspace", str(workspace)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_command_reads_the_database_that_the_settings_name(tmp_path: Path, url: str) -> None:
    done = run_list(tmp_path / "w", url)
    assert done.returncode == 2
    assert "no workspace here" in done.stderr
    SqlStore(url, create=True).close()
    done = run_list(tmp_path / "w", url)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


def test_a_database_that_does_not_answer_is_one_line_without_the_password(tmp_path: Path) -> None:
    done = run_list(tmp_path / "w", "postgresql+psycopg://ann:hunter2@127.0.0.1:1/night")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "postgresql://127.0.0.1:1/night" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
