"""Policy, parameters and seed belong to a workspace: what `run` goes on with, takes up, refuses, and shows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import program
import pytest
from databases import run_sql
from scriptedruns import (
    BD62,
    STRICT,
    acts_of,
    add_setting,
    digest_of,
    policy_file,
    scripted_workspace,
    shown,
    started,
)

from autosurgeon.cli.checks import Finding, try_check
from autosurgeon.cli.doctor_settings import check_settings
from autosurgeon.config import shipped
from autosurgeon.core.person import current_person
from autosurgeon.core.workspace import Workspace
from autosurgeon.policy.load import load_policy
from autosurgeon.store.sqlstore import SqlStore
from autosurgeon.wiring import settings_of

THRESHOLD = "params:\n  least: {default: 1, description: Net wins.}\nrules:\n  - {id: real-gain, at_least: $least}\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    with scripted_workspace(tmp_path / "w") as root:
        yield root


def test_a_plain_run_goes_on_with_the_policy_parameters_and_seed_that_an_earlier_one_named(workspace: Path) -> None:
    first = started(workspace, "--policy", STRICT, "--set", "least_gain=2", "--seed", 7)
    line = f"policy strict {digest_of(STRICT, least_gain=2)}, least_gain=2, most_lost=2, seed 7"
    assert first[0] == line
    assert line in first[-8:], "the end of a run names it too"
    second = started(workspace)
    assert second[0] == line
    assert any(each.startswith("pass 2: ") for each in second)
    found = shown(workspace, "status")
    assert found["in_force"] == found["budget"]["in_force"]
    assert found["in_force"] | {"policy": ""} == {
        "policy": "",
        "name": "strict",
        "params": {"least_gain": 2, "most_lost": 2},
        "assigned": {"least_gain": 2},
        "file": "shipped:strict.yaml",
        "seed": 7,
    }
    assert f"in force: {line}" in program.autosurgeon("status", "-w", workspace).stdout
    for number in (1, 2):
        assert f"began under: {line}" in program.autosurgeon("pass", "show", number, "-w", workspace).stdout
        assert f"began under: {line}" in (workspace / "reports" / f"pass-{number:04}.md").read_text()
        assert line in (workspace / "reports" / f"pass-{number:04}.html").read_text()
        for command in (("pass", "show", number), ("report", number)):
            in_force = shown(workspace, *command)["in_force"]
            assert (in_force["name"], in_force["params"]["least_gain"], in_force["seed"]) == ("strict", 2, 7)
    campaign = shown(workspace, "report", "campaign")
    assert campaign["in_force"] == found["in_force"]
    assert [(part["first"], part["last"], part["in_force"]["seed"]) for part in campaign["begun"]] == [(1, 2, 7)]
    assert f"- passes 1 to 2: {line}" in program.autosurgeon("report", "campaign", "-w", workspace).stdout
    assert acts_of(workspace) == [], "nothing was changed"


def test_an_edited_file_changes_nothing_until_it_is_named(workspace: Path, tmp_path: Path) -> None:
    mine = policy_file(tmp_path / "mine.yaml", rules="rules:\n  - {id: stop-earlier, at_most: 3}\n")
    old = digest_of(mine)
    started(workspace, "--policy", mine)
    policy_file(mine, rules="rules:\n  - {id: stop-earlier, at_most: 1}\n")
    plain = started(workspace)
    assert plain[:2] == [
        f"policy mine {old}, seed 0",
        f"  not in force here: the file {mine} gives mine {digest_of(mine)} by now; "
        f"`autosurgeon run --policy {mine}` takes it up",
    ]
    named = started(workspace, "--policy", mine, "--reason", "less heat")
    assert named[:4] == [
        f"policy mine {digest_of(mine)}, seed 0",
        f"  taken up, for passes that begin from now on; before: policy mine {old}, seed 0",
        "  phases: proposal tighter",
        "  rules changed: stop-earlier",
    ]
    (act,) = acts_of(workspace)
    assert (act.act, act.who, act.reason) == ("policy", current_person(), "less heat")
    assert act.detail["before"]["policy"][:12] == old
    assert act.detail["now"]["policy"][:12] == digest_of(mine)
    assert act.detail["changes"][1:] == ["phases: proposal tighter", "rules changed: stop-earlier"]
    listed = program.autosurgeon("audit", "log", "--people", "-w", workspace).stdout
    assert f"policy mine {digest_of(mine)}, seed 0" in listed
    assert "less heat" in listed
    mine.unlink()
    gone = started(workspace)
    assert gone[1].startswith(f"  not in force here: the file {mine} cannot be used (")
    assert "--policy" not in gone[1]


def test_a_shipped_policy_that_is_another_one_by_now_is_named_and_not_taken_up(workspace: Path) -> None:
    started(workspace)
    # As if an older version had shipped another one: that is what the memory keeps, under its own digest.
    older = load_policy(BD62).model_copy(update={"description": "as an older version shipped it"})
    store = SqlStore(Workspace(workspace).database)
    store.keep_policy(older.digest, older.model_dump_json(by_alias=True))
    store.close()
    run_sql(Workspace(workspace).database, f"UPDATE run SET policy = '{older.digest}'")
    plain = started(workspace)
    assert plain[:2] == [
        f"policy bd62 {older.digest[:12]}, seed 0",
        f"  not in force here: the file {BD62} gives bd62 {digest_of(BD62)} by now; "
        f"`autosurgeon run --policy {BD62}` takes it up",
    ]
    assert shown(workspace, "status")["in_force"]["policy"] == older.digest


def test_settings_and_environment_that_give_another_policy_or_seed_are_named_with_how_to_take_them_up(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(workspace)
    mine = policy_file(tmp_path / "mine.yaml")
    add_setting(workspace, f'policy = "{mine}"')
    monkeypatch.setenv("AUTOSURGEON_SEED", "9")
    plain = started(workspace)
    assert plain[:2] == [
        f"policy bd62 {digest_of(BD62)}, seed 0",
        f"  not in force here: the settings' policy {mine} gives mine {digest_of(mine)} by now; the settings give "
        f"seed 9; `autosurgeon run --policy {mine} --seed 9` takes it up",
    ]
    both = started(workspace, "--policy", mine, "--seed", 9)
    assert both[0] == f"policy mine {digest_of(mine)}, seed 9"
    assert "  seed: 0 -> 9" in both
    assert "not in force" not in both[5]


def test_other_parameters_alone_are_set_on_the_policy_in_force(workspace: Path, tmp_path: Path) -> None:
    mine = policy_file(tmp_path / "mine.yaml", params=THRESHOLD)
    started(workspace, "--policy", mine)
    more = started(workspace, "--set", "least=3")
    assert more[0] == f"policy mine {digest_of(mine, least=3)}, least=3, seed 0"
    assert more[2:5] == ["  phases: promotion tighter", "  rules changed: real-gain", "  parameters: least 1 -> 3"]
    assert started(workspace)[0] == more[0]
    assert shown(workspace, "status")["in_force"]["assigned"] == {"least": 3}
    policy_file(mine, params=THRESHOLD, name="other")
    refused = program.autosurgeon("run", "-n", 1, "-w", workspace, "--set", "least=2")
    assert refused.returncode == 2
    assert "parameters are set on a policy's file, and this one is not what is in force here" in refused.stderr
    assert "or `--policy FILE` beside `--set`" in refused.stderr
    assert started(workspace, "--policy", mine, "--set", "least=2")[0].startswith("policy other")


def test_doctor_names_what_is_in_force_and_a_policy_that_the_memory_lost(workspace: Path) -> None:
    def look() -> Finding | None:
        checks = check_settings(workspace, settings_of(workspace))
        return next((try_check(check) for check in checks if check.name == "in force"), None)

    assert look() is None
    line = started(workspace, "--policy", STRICT)[0]
    assert look() == Finding("in force", True, line)
    run_sql(Workspace(workspace).database, "DELETE FROM policy")
    found = look()
    assert found is not None
    assert (found.ok, "the memory does not keep policy" in found.found) == (False, True)


def test_a_seed_that_is_named_stays(workspace: Path) -> None:
    assert started(workspace, "--seed", 7)[0].endswith(", seed 7")
    assert started(workspace)[0].endswith(", seed 7")
    changed = started(workspace, "--seed", 8)
    assert changed[1:3] == [
        f"  taken up, for passes that begin from now on; before: policy bd62 {digest_of(BD62)}, seed 7",
        "  seed: 7 -> 8",
    ]
    assert started(workspace)[0].endswith(", seed 8")
    assert [pass_["contract"]["seed"] for pass_ in shown(workspace, "pass", "list")] == [7, 7, 8, 8]


def test_an_older_workspace_goes_on_with_the_policy_of_its_last_pass(workspace: Path) -> None:
    started(workspace, "--policy", STRICT, "--seed", 7)
    database = Workspace(workspace).database
    run_sql(database, "UPDATE run SET policy = NULL, policy_file = NULL, params = NULL, seed = NULL")
    run_sql(database, "UPDATE pass SET contract = json_remove(contract, '$.seed')")
    plain = started(workspace)
    strict = f"policy strict {digest_of(STRICT)}, least_gain=3, most_lost=2"
    assert plain[:4] == [
        f"{strict}, seed 0",
        f"  no earlier run of this workspace recorded a policy: its last pass has {strict}, seed unknown",
        "  the seed of earlier passes is not recorded: 0 of the settings counts from now on",
        f"  not in force here: the shipped policy {BD62} gives bd62 {digest_of(BD62)} by now; "
        f"`autosurgeon run --policy {BD62}` takes it up",
    ]
    assert acts_of(workspace) == []
    assert started(workspace)[0] == f"{strict}, seed 0"


def test_a_policy_whose_content_the_memory_lost_is_read_from_its_file_or_refused(
    workspace: Path, tmp_path: Path
) -> None:
    mine = policy_file(tmp_path / "mine.yaml")
    first = started(workspace, "--policy", mine)[0]
    run_sql(Workspace(workspace).database, "DELETE FROM policy")
    assert started(workspace)[0] == first
    run_sql(Workspace(workspace).database, "DELETE FROM policy")
    policy_file(mine, name="other")
    refused = program.autosurgeon("run", "-n", 1, "-w", workspace)
    assert refused.returncode == 2
    assert "what this workspace works under cannot be read; got the memory does not keep policy" in refused.stderr
    assert "`autosurgeon run --policy FILE`" in refused.stderr
    assert started(workspace, "--policy", mine)[0].startswith("policy other")


def test_a_policy_that_cannot_be_used_is_refused_before_anything_is_made(workspace: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("nonsense: 1\n")
    for arguments in (("--policy", bad), ("--policy", tmp_path / "none.yaml"), ("--set", "nothing=1")):
        refused = program.autosurgeon("run", "-n", 1, "-w", workspace, *arguments)
        assert refused.returncode == 2, arguments
        assert not Workspace(workspace).database.exists()


def judged_by(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode in (0, 15), done.stderr
    return str(json.loads(done.stdout.splitlines()[-1])["policy"])


def test_commands_that_judge_past_decisions_take_the_policy_in_force(workspace: Path, tmp_path: Path) -> None:
    mine = policy_file(tmp_path / "mine.yaml", params=THRESHOLD)
    started(workspace, "--policy", mine, "--set", "least=2")
    replayed = program.autosurgeon("policy", "replay", workspace, "--json")
    assert (replayed.returncode, judged_by(replayed)) == (0, "mine")
    assert judged_by(program.autosurgeon("policy", "replay", workspace, "--policy", STRICT, "--json")) == "strict"
    moved = ("policy", "simulate", workspace, "--range", "0:4:3", "--json")
    for which in (("--param", "least"), ("--rule", "real-gain")):
        assert json.loads(program.autosurgeon(*moved, *which).stdout)["policy"] == "mine"
    explained = ("policy", "explain", "pass-0001-promotion", "-w", workspace, "--json", "--set", "least=2")
    assert json.loads(program.autosurgeon(*explained).stdout)["another_policy"] is None
    assert judged_by(program.autosurgeon("policy", "replay", shipped("data", "bd62"), "--json")) == "bd62"
