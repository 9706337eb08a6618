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
from typer.testing import CliRunner

from autosurgeon.cli.main import app
from autosurgeon.config import shipped
from autosurgeon.errors import ExitCode

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
ENVIRONMENT = {"AUTOSURGEON_ANCHORS__SAMPLES": "1", "AUTOSURGEON_GRADING__WORKERS": "2"}
# A random model's best tokens are near ties, which BF16 may turn.
AS_FAR_AS_IT_GOES = """
schema: autosurgeon.policy/1
name: further
include: [{bd62}]
rules:
  - {{id: anchors-were-smoked, disabled: true}}
  - {{id: merge-is-faithful, disabled: true}}
"""


def run(workspace: Path, *arguments: object, code: int = 0, **environment: str) -> str:
    """A real run in a process of its own that ends with this exit code; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "autosurgeon", "run", *map(str, arguments), "--workspace", str(workspace)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ | ENVIRONMENT | environment,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def command(workspace: Path, *arguments: object) -> str:
    """Any other command, here."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--workspace", str(workspace)])
    assert done.exit_code == 0, done.output
    return done.stdout


def read(workspace: Path, *arguments: object) -> Any:
    return json.loads(command(workspace, *arguments, "--json"))


def own_tasks(path: Path) -> Path:
    """The lab's tasks as a person would bring them: names of his own, no split, no cluster."""
    rows = []
    for bench, count in (("lab-mbpp", 12), ("lab-lcb", 4)):
        for line in shipped("data", "lab", f"{bench}.jsonl").read_text(encoding="utf-8").splitlines()[:count]:
            row = json.loads(line)
            rows.append({name: value for name, value in row.items() if name not in ("bench", "split", "cluster")})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_an_organ_that_wins_nothing_is_refused_by_the_policy_and_nothing_breaks(tmp_path: Path) -> None:
    workspace, organ = tmp_path / "w", write_tiny_organ(tmp_path / "organ")
    printed = command(workspace, "init", "--organ", organ, "--tasks", own_tasks(tmp_path / "tasks.jsonl"))
    assert f"`autosurgeon run --workspace {workspace}`" in printed
    # By the default policy the run ends before any pass, as the slow test below shows; here a pass goes its whole way.
    policy = tmp_path / "further.yaml"
    policy.write_text(AS_FAR_AS_IT_GOES.format(bd62=shipped("policies", "bd62.yaml")))
    ran = run(workspace, "--passes", 1, "--policy", policy, AUTOSURGEON_ORGAN__MAX_NEW_TOKENS="8")
    assert "mine: 0 -> 0 of 16 won" in ran
    record = read(workspace, "pass", "show", 1)
    assert record["state"] == "HELD"
    assert "real-gain: gate.net is 0" in record["reason"]
    status = read(workspace, "status")
    # Prompts that read standard input are the organ's too: the route that leaks is the lab's.
    assert (status["excluded"], status["live"]["version"]) == ({}, 1)
    assert read(workspace, "anchors", "list")["coverage"]["mine"] == {"tasks": 16, "wins": 0, "anchors": 0, "hidden": 0}
    assert "mine" in command(workspace, "report", "campaign")


@pytest.mark.slow
def test_an_instruct_organ_goes_through_a_pass_by_chat(tmp_path: Path) -> None:
    workspace, organ = tmp_path / "w", write_tiny_organ(tmp_path / "organ")
    template = "{% for m in messages %}[{{ m.role }}]\n{{ m.content }}<eos>\n{% endfor %}[assistant]\n"
    (organ / "chat_template.jinja").write_text(template, encoding="utf-8")
    tasks = own_tasks(tmp_path / "tasks.jsonl")
    command(workspace, "init", "--organ", organ, "--tasks", tasks, "--prompt", "chat")
    policy = tmp_path / "further.yaml"
    policy.write_text(AS_FAR_AS_IT_GOES.format(bd62=shipped("policies", "bd62.yaml")))
    run(workspace, "--passes", 1, "--policy", policy, AUTOSURGEON_ORGAN__MAX_NEW_TOKENS="8")
    assert read(workspace, "pass", "show", 1)["state"] == "HELD"
    (rows,) = workspace.rglob("chat_rows.jsonl")
    taught = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    assert all("one code block" in row["prompt"] and row["completion"].endswith("\n```") for row in taught)
    # A pack has what another runtime needs to ask it in the same way.
    assert template in {
        file.read_text(encoding="utf-8") for file in workspace.rglob("data/packs/*/chat_template.jinja")
    }


@pytest.mark.slow
def test_the_incidents_pipeline_by_the_preset_ends_before_training_where_the_organ_wins_nothing(tmp_path: Path) -> None:
    files = {"--humaneval": SHARED / "HumanEval.jsonl.gz", "--mbpp": SHARED / "mbpp.jsonl"}
    if not all(file.is_file() for file in files.values()):
        pytest.skip(f"no published benches in {SHARED}")
    workspace, organ = tmp_path / "w", write_tiny_organ(tmp_path / "organ")
    benches = [word for flag, file in files.items() for word in (flag, file)]
    command(workspace, "init", "--organ", organ, "--preset", "qwen2.5-coder-0.5b", "--rows", 20, *benches)
    ran = run(workspace, "--passes", 3, code=ExitCode.BRAKED)
    assert "humaneval: 0 -> 0 of 20 won" in ran
    assert "mbpp: 0 -> 0 of 20 won" in ran
    assert "end: hopeless: no pass can be accepted: the base wins none of the" in ran
    assert read(workspace, "pass", "list") == []
    ended = read(workspace, "status")["budget"]
    assert (ended["end_reason"], "anchors-were-smoked" in ended["end_detail"]) == ("hopeless", True)
