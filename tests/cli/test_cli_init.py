"""`init` writes settings that `run` takes, or says what is amiss and writes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from organs import write_tiny_organ
from typer.testing import CliRunner, Result

from autosurgeon.cli.doctor_prospects import prospects_of
from autosurgeon.cli.main import app
from autosurgeon.cli.presets import PRESETS
from autosurgeon.config import load_settings, shipped
from autosurgeon.errors import ExitCode, UserError
from autosurgeon.wiring import tasks_in

COMMIT = 40 * "a"


def init(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


def refused(workspace: Path, *arguments: object) -> str:
    done = init("-w", workspace, *arguments)
    assert isinstance(done.exception, UserError)
    assert not (workspace / "autosurgeon.toml").exists()
    return str(done.exception)


@pytest.fixture
def organ(tmp_path: Path) -> Path:
    return write_tiny_organ(tmp_path / 'an "organ"')


@pytest.fixture
def humaneval(tmp_path: Path) -> Path:
    rows = [
        {
            "task_id": f"HumanEval/{number}",
            "prompt": f'def f{number}(x):\n    """Add {number}."""\n',
            "entry_point": f"f{number}",
            "canonical_solution": f"    return x + {number}\n",
            "test": f"def check(candidate):\n    assert candidate(1) == {number + 1}\n",
        }
        for number in range(6)
    ]
    path = tmp_path / "he.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_preset_becomes_settings_that_hold_what_it_says(organ: Path, humaneval: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    told = ("--organ", organ, "--preset", "qwen2.5-coder-0.5b", "--humaneval", humaneval, "--rows", 4, "--gpu")
    done = init("-w", workspace, *told)
    assert done.exit_code == 0, done.output
    assert f"autosurgeon run --workspace {workspace}" in done.output
    settings, preset = load_settings(workspace / "autosurgeon.toml"), PRESETS["qwen2.5-coder-0.5b"]
    assert settings.organ.model == organ
    assert (settings.organ.reference_lr, settings.organ.quantization) == (preset.reference_lr, "nf4")
    assert (settings.organ.max_tokens, settings.organ.max_new_tokens) == (1024, 512)
    assert settings.organ.generate_batch_rows == preset.gpu.generate_rows
    assert settings.policy_file == shipped("policies", "bd62.yaml")
    assert list(tasks_in(workspace, settings)) == [f"HumanEval/{number}" for number in range(4)]
    before = (workspace / "autosurgeon.toml").read_text()
    again = init("-w", workspace, *told)
    assert "not overwritten" in str(again.exception)
    assert (workspace / "autosurgeon.toml").read_text() == before


def test_without_an_organ_the_lab_is_set(tmp_path: Path) -> None:
    assert init("-w", tmp_path / "w").exit_code == 0
    settings = load_settings(tmp_path / "w" / "autosurgeon.toml")
    assert (settings.organ.model, settings.benches, settings.lab.stdin_route) == (None, {}, "planner")


def test_what_is_amiss_is_said_and_nothing_is_written(organ: Path, humaneval: Path, tmp_path: Path) -> None:
    workspace, bench = tmp_path / "w", ("--humaneval", humaneval)
    assert "need an organ" in refused(workspace, *bench)
    assert "an organ needs benches" in refused(workspace, "--organ", organ)
    assert "'qwen2.5-coder-0.5b'" in refused(workspace, "--organ", organ, "--preset", "qwen2.5-coder-05b", *bench)
    assert "cannot be read" in refused(workspace, "--organ", organ, "--mbpp", tmp_path / "none.jsonl")
    assert "needs its commit" in refused(workspace, "--organ", "one/organ", *bench)
    assert "40 hex digits" in refused(workspace, "--organ", "one/organ", "--revision", "main", *bench)
    assert "owner/name" in refused(workspace, "--organ", "organ", "--revision", COMMIT, *bench)
    assert "no revision" in refused(workspace, "--organ", organ, "--revision", COMMIT, *bench)
    (organ / "pytorch_model.bin").write_bytes(b"")
    assert "pickled" in refused(workspace, "--organ", organ, *bench)


@pytest.mark.slow  # four capsules open and answer
def test_what_keeps_every_pass_from_being_accepted_is_shown_by_init_and_doctor(
    organ: Path, humaneval: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosurgeon.bench.jail_selfcheck.check_jail", lambda grading: [])

    def prospects(workspace: Path) -> str:
        done = CliRunner().invoke(app, ["doctor", "--json", "--workspace", str(workspace)])
        assert done.exit_code == ExitCode.FINDING
        (found,) = [one for one in json.loads(done.output) if one["check"] == "prospects"]
        assert not found["ok"]
        return str(found["found"])

    workspace = tmp_path / "w"
    done = init("-w", workspace, "--organ", organ, "--humaneval", humaneval, "--rows", 1)
    assert done.exit_code == 0, done.output
    shown = " ".join(done.output.split())
    for place in ("gate", "canary"):
        assert f"no pass can be accepted: no task of a bench that counts is in the {place} split" in shown
    assert "no task of a bench that counts is in the canary split" in prospects(workspace)
    with (workspace / "autosurgeon.toml").open("a") as file:
        file.write("[search]\nrank = { low = 32, high = 64 }\n")
    assert "the policy leaves nothing of search.rank" in prospects(workspace)


def test_the_lab_has_prospects(tmp_path: Path) -> None:
    done = init("-w", tmp_path / "w")
    assert "no pass can" not in done.output
    found, notes = prospects_of(tmp_path / "w", load_settings(tmp_path / "w" / "autosurgeon.toml"))
    assert (found.startswith("a pass can be accepted: 150 tasks can be training rows"), notes) == (True, [])


def test_a_prompt_is_written_as_named_and_refused_where_the_organ_cannot_be_asked_so(
    organ: Path, humaneval: Path, tmp_path: Path
) -> None:
    bench = ("--organ", organ, "--humaneval", humaneval)
    assert "a checkpoint has no chat template" in refused(tmp_path / "w", *bench, "--prompt", "chat")
    assert "there is no such prompt; got caht" in refused(tmp_path / "w", *bench, "--prompt", "caht")
    (organ / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    for prompt in ("chat", "completion"):
        assert init("-w", tmp_path / prompt, *bench, "--prompt", prompt).exit_code == 0
        assert load_settings(tmp_path / prompt / "autosurgeon.toml").organ.prompt == prompt


@pytest.mark.slow
def test_an_instruct_organ_is_asked_both_ways_and_the_better_one_is_written(tmp_path: Path) -> None:
    organ, tasks = tmp_path / "organ", tmp_path / "tasks.jsonl"
    shutil.copytree(shipped("data", "lab", "base"), organ)
    lines = shipped("data", "lab", "lab-humaneval.jsonl").read_text("utf-8").splitlines()[:24]
    tasks.write_text("\n".join(lines) + "\n", "utf-8")
    told = ("--organ", organ, "--tasks", tasks)
    assert init("-w", tmp_path / "plain", *told).exit_code == 0
    assert load_settings(tmp_path / "plain" / "autosurgeon.toml").organ.prompt == "completion"
    # The template hides the question and asks nothing that this base could answer.
    (organ / "chat_template.jinja").write_text("Hello.\n", "utf-8")
    done = init("-w", tmp_path / "w", *told)
    assert done.exit_code == 0, done.output
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    won = {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[0] in ("completion", "chat")}
    assert won["completion"] > won["chat"] == 0
    assert load_settings(tmp_path / "w" / "autosurgeon.toml").organ.prompt == "completion"
