"""The product as a person uses it: a real night on the lab, in short, and what can be read the morning after."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import program
import pytest

from autosurgeon.config import shipped


def autosurgeon(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autosurgeon", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def read(*arguments: object) -> Any:
    """The JSON output of a command; there are many of them, so they share this process."""
    done = program.autosurgeon(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A workspace after a run of two passes that was killed in the middle of the first and continued."""
    workspace = tmp_path_factory.mktemp("night")
    run = [sys.executable, "-m", "autosurgeon", "run", "--passes", "2", "--seed", "7", "--workspace", str(workspace)]
    first = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    training = workspace / "data" / "passes" / "pass-0001" / "train" / "progress.jsonl"
    deadline = time.monotonic() + 300
    while not training.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    first.kill()
    first.wait()
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    yield workspace, done.stdout


def test_a_run_killed_while_training_goes_on_and_loses_only_that_stage(night: tuple[Path, str]) -> None:
    workspace, _ = night
    passes = read("pass", "list", "-w", workspace)
    assert [record["number"] for record in passes] == [1, 2]
    assert all(record["state"] in ("CONFIRMED", "REVERTED", "REJECTED", "HELD") for record in passes)
    stages = [stage["name"] for stage in read("pass", "show", 1, "-w", workspace)["stages"]]
    assert len(stages) == len(set(stages))
    assert stages[:5] == ["anchors", "losses", "dataset", "contamination", "train"]


def test_a_pack_is_promoted_over_the_base_and_no_counted_bench_is_worse(night: tuple[Path, str]) -> None:
    status = read("status", "-w", night[0])
    assert status["promoted"]
    assert status["live"]["version"] > 1
    for bench in ("lab-mbpp", "lab-humaneval"):
        live, base = status["wins"]["live"][bench]["all"], status["wins"]["base"][bench]["all"]
        assert live["wins"] >= base["wins"]
        assert 0.25 <= base["wins"] / base["tasks"] <= 0.60
    assert status["budget"]["end_reason"] == "passes"


def test_the_leaking_bench_is_excluded_with_its_reason(night: tuple[Path, str]) -> None:
    status = read("status", "-w", night[0])
    assert "50 of 50 answers came from another handler" in status["excluded"]["lab-lcb"]
    assert status["wins"]["live"]["lab-lcb"]["all"] == {"wins": 0, "tasks": 50}


def test_every_decision_lists_each_rule_with_its_observation_and_lesson(night: tuple[Path, str]) -> None:
    decisions = read("audit", "log", "-w", night[0])
    logged = (night[0] / "logs" / "decisions.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in logged] == decisions
    judged = [decision["judgement"] for decision in decisions if decision["judgement"]]
    assert judged
    for judgement in judged:
        assert judgement["rules"]
        for rule in judgement["rules"]:
            assert rule["lesson"]
            assert {"observed", "bound", "margin", "result"} <= rule.keys()


def test_the_plain_output_has_a_line_for_each_event(night: tuple[Path, str]) -> None:
    output = night[1]
    assert "pass 1: " in output
    assert "ACCEPT promotion" in output
    assert "end: the requested passes are done" in output
    assert "\x1b[" not in output


def test_the_past_judged_again_by_its_own_policy_flips_nothing_and_each_verdict_can_be_explained(
    night: tuple[Path, str],
) -> None:
    replayed = autosurgeon("policy", "replay", night[0])
    assert replayed.returncode == 0, replayed.stdout
    assert " 0 flips, 0 cannot be replayed" in replayed.stdout
    one_a_phase = {decision["judgement"]["phase"]: decision for decision in read("audit", "log", "-w", night[0])}
    for decision in one_a_phase.values():
        explained = read("policy", "explain", decision["decision_id"], "-w", night[0])
        assert explained["verdict"] == decision["judgement"]["verdict"]
        assert explained["another_policy"] is None


def test_the_ledger_lists_which_wins_are_guarded_and_a_person_may_set_one_aside(
    night: tuple[Path, str], tmp_path: Path
) -> None:
    workspace = tmp_path / "copy"
    shutil.copytree(night[0] / "data", workspace / "data", ignore=shutil.ignore_patterns("passes"))
    listed = read("anchors", "list", "-w", workspace)
    anchors = [entry for entry in listed["anchors"] if entry["state"] == "anchor"]
    assert sum(family["anchors"] for family in listed["coverage"].values()) == len(anchors) > 50
    assert any(entry["hidden"] for entry in anchors)
    assert not any(entry["hidden"] and entry["trained"] for entry in anchors)
    name = anchors[0]["task_id"]
    done = autosurgeon(
        "anchors", "quarantine", name, "--reason", "its test is wrong", "--expires", "+3d", "-w", workspace
    )
    assert done.returncode == 0, done.stderr
    shown = read("anchors", "show", name, "-w", workspace)
    assert shown["state"] == "quarantined"
    assert "its test is wrong" in shown["why"]
    assert shown["history"]
    wrong = autosurgeon("anchors", "quarantine", name, "--reason", "x", "--expires", "yesterday", "-w", workspace)
    assert (wrong.returncode, "is not a time" in wrong.stderr) == (2, True)


def test_a_pass_and_the_campaign_have_reports(night: tuple[Path, str]) -> None:
    assert (night[0] / "reports" / "pass-0001.html").is_file()
    report = autosurgeon("report", "campaign", "-w", night[0])
    assert report.returncode == 0, report.stderr
    assert "pass" in report.stdout


def test_packs_are_whole_and_a_damaged_one_is_named(night: tuple[Path, str], tmp_path: Path) -> None:
    workspace = tmp_path / "copy"
    shutil.copytree(night[0], workspace)
    packs = read("pack", "list", "-w", workspace)
    assert sum(pack["live"] for pack in packs) == 1
    assert autosurgeon("pack", "verify", "-w", workspace).returncode == 0
    live = next(pack["digest"] for pack in packs if pack["live"])
    weights = workspace / "data" / "packs" / live / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = autosurgeon("pack", "verify", live[:10], "-w", workspace)
    assert done.returncode == 15
    assert "a pack's file is damaged" in done.stdout + done.stderr


def test_a_revert_by_hand_is_a_new_version_with_its_reason(night: tuple[Path, str], tmp_path: Path) -> None:
    workspace = tmp_path / "copy"
    shutil.copytree(night[0], workspace)
    before = read("status", "-w", workspace)["live"]
    done = autosurgeon("pack", "revert", "--reason", "I do not trust it", "-w", workspace)
    assert done.returncode == 0, done.stderr
    after = read("status", "-w", workspace)["live"]
    assert after["version"] == before["version"] + 1
    assert after["pack"] != before["pack"]
    assert read("audit", "log", "-w", workspace)[-1]["reason"] == "I do not trust it"


def test_ctrl_c_ends_after_the_running_stage_and_the_next_run_continues(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "autosurgeon", "run", "--passes", "1", "--workspace", str(tmp_path)]
    loop = subprocess.Popen(run, stdout=subprocess.PIPE, text=True)
    with loop:
        assert loop.stdout is not None
        for line in loop.stdout:
            if "baseline" in line:
                os.kill(loop.pid, signal.SIGINT)
                break
        rest = loop.stdout.read()
    assert loop.returncode == 0
    assert "stopping after this stage" in rest
    assert "end: stopped" in rest
    assert "interrupted (SIGINT)" in rest
    status = read("status", "-w", tmp_path)
    assert status["budget"]["end_reason"] == "stopped"
    assert status["live"]["version"] == 1


@pytest.mark.slow
def test_the_repaired_route_makes_lcb_a_target(tmp_path: Path) -> None:
    (tmp_path / "autosurgeon.toml").write_text('[lab]\nstdin_route = "organ"\n')
    run = [sys.executable, "-m", "autosurgeon", "run", "--passes", "1", "--workspace", str(tmp_path)]
    subprocess.run(run, check=True, capture_output=True, timeout=600)
    status = read("status", "-w", tmp_path)
    assert status["excluded"] == {}
    assert status["wins"]["base"]["lab-lcb"]["all"]["wins"] > 0
    rows = (tmp_path / "data" / "passes" / "pass-0001" / "dataset" / "rows.jsonl").read_text().splitlines()
    assert any(json.loads(row)["bench"] == "lab-lcb" for row in rows)


@pytest.mark.slow
def test_the_shipped_lab_matches_its_manifest() -> None:
    done = autosurgeon("lab", "check", "--folder", shipped("data", "lab"))
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_incident_happens_for_real_whatever_the_seed(tmp_path: Path, seed: int) -> None:
    done = autosurgeon("run", "--scenario", "bd62", "--seed", seed, "-w", tmp_path)
    assert done.returncode == 0, done.stderr
    passes, status = read("pass", "list", "-w", tmp_path), read("status", "-w", tmp_path)
    assert status["live"]["pack"] == passes[0]["pack"]
    report = (tmp_path / "reports" / "BD6_2_DELTA.md").read_text()
    assert "The policy would have refused it at phase `proposal` by rule `poison-only`" in report
    assert "### Wins of pass 1 that pass 2 lost" in report
    assert report.count("(anchor)") > 5
