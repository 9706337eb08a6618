"""A real model answers a real bench, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from autosurgeon.config import shipped


def test_the_labs_model_answers_tasks_and_its_answers_stay_beside_the_results(tmp_path: Path) -> None:
    bench = shipped("data", "lab", "lab-humaneval.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "tasks.jsonl").write_text("".join(bench[:24]), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    command = [
        *(sys.executable, "-m", "autosurgeon", "bench", "run", "--format", "native", "--json"),
        *("--tasks", str(tmp_path / "tasks.jsonl"), "--model", str(shipped("data", "lab", "base")), "--out", str(out)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (score,) = json.loads(done.stdout)["benches"]
    assert (score["tasks"], score["samples"], score["without_samples"]) == (24, 24, [])
    assert 0 < score["passed"] < 24
    answers = (tmp_path / "out.samples.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(answers) == len(out.read_text(encoding="utf-8").splitlines()) == 24
    # Nothing else is left behind.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.samples.jsonl", "tasks.jsonl"]
