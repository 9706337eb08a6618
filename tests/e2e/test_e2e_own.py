"""A person's own organ and benches, from `init` to decisions, unattended. The organ is random and wins nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from organs import write_tiny_organ

from autosurgeon.config import shipped

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
ENVIRONMENT = {"AUTOSURGEON_ANCHORS__SAMPLES": "1", "AUTOSURGEON_GRADING__WORKERS": "2"}
WITHOUT_SMOKE = """
schema: autosurgeon.policy/1
name: further
include: [{bd62}]
rules:
  - {{id: anchors-were-smoked, disabled: true}}
"""


def autosurgeon(workspace: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "autosurgeon", *map(str, arguments), "--workspace", str(workspace)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ | ENVIRONMENT | environment,
    )
    assert done.returncode == 0, done.stderr
    return done


def read(workspace: Path, *arguments: object) -> Any:
    return json.loads(autosurgeon(workspace, *arguments, "--json").stdout)


def own_tasks(path: Path) -> Path:
    """The lab's tasks as a person would bring them: names of his own, no split, no cluster."""
    rows = []
    for bench, count in (("lab-mbpp", 12), ("lab-lcb", 4)):
        for line in shipped("data", "lab", f"{bench}.jsonl").read_text(encoding="utf-8").splitlines()[:count]:
            row = json.loads(line)
            rows.append({name: value for name, value in row.items() if name not in ("bench", "split", "cluster")})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_an_organ_that_wins_nothing_is_told_so_by_the_policy_and_nothing_breaks(tmp_path: Path) -> None:
    workspace, organ = tmp_path / "w", write_tiny_organ(tmp_path / "organ")
    said = autosurgeon(workspace, "init", "--organ", organ, "--tasks", own_tasks(tmp_path / "tasks.jsonl")).stdout
    assert f"`autosurgeon run --workspace {workspace}`" in said
    short = {"AUTOSURGEON_ORGAN__MAX_NEW_TOKENS": "8"}
    autosurgeon(workspace, "run", "--passes", 1, **short)
    (first,) = read(workspace, "pass", "list")
    assert (first["state"], first["verdict"]) == ("HELD", "INCONCLUSIVE")
    assert first["reason"] == "anchors-were-smoked: smoke.tried is 0, wanted at_least 1"
    # With a policy that lets it through there, it comes as far as the bench, and is not promoted for nothing.
    policy = tmp_path / "further.yaml"
    policy.write_text(WITHOUT_SMOKE.format(bd62=shipped("policies", "bd62.yaml")))
    ran = autosurgeon(workspace, "run", "--passes", 1, "--policy", policy, **short).stdout
    assert "mine: 0 -> 0 of 16 won" in ran
    second = read(workspace, "pass", "show", 2)
    assert second["state"] == "HELD"
    assert "real-gain: gate.net is 0" in second["reason"]
    status = read(workspace, "status")
    # Prompts that read standard input are the organ's too: the route that leaks is the lab's.
    assert (status["excluded"], status["live"]["version"]) == ({}, 1)
    assert read(workspace, "anchors", "list")["coverage"]["mine"] == {"tasks": 16, "wins": 0, "anchors": 0, "hidden": 0}
    assert "mine" in autosurgeon(workspace, "report", "campaign").stdout


@pytest.mark.slow
def test_the_incidents_pipeline_runs_three_passes_by_the_preset_and_ends_with_decisions(tmp_path: Path) -> None:
    files = {"--humaneval": SHARED / "HumanEval.jsonl.gz", "--mbpp": SHARED / "mbpp.jsonl"}
    if not all(file.is_file() for file in files.values()):
        pytest.skip(f"no published benches in {SHARED}")
    workspace, organ = tmp_path / "w", write_tiny_organ(tmp_path / "organ")
    benches = [word for flag, file in files.items() for word in (flag, file)]
    autosurgeon(workspace, "init", "--organ", organ, "--preset", "qwen2.5-coder-0.5b", "--rows", 20, *benches)
    ran = autosurgeon(workspace, "run", "--passes", 3).stdout
    assert "humaneval: 0 -> 0 of 20 won" in ran
    assert "mbpp: 0 -> 0 of 20 won" in ran
    passes = read(workspace, "pass", "list")
    assert [record["state"] for record in passes] == ["HELD"] * 3
    assert all("anchors-were-smoked" in record["reason"] for record in passes)
