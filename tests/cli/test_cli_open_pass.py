"""An open pass is finished as it was begun, or a person gives it up."""

from __future__ import annotations

import contextlib
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
    leave_open,
    scripted_workspace,
    shown,
    started,
)

from autosurgeon.core.person import current_person
from autosurgeon.core.workspace import Workspace
from autosurgeon.loop.engine import fingerprint
from autosurgeon.policy.load import load_policy
from autosurgeon.store.sqlstore import SqlStore


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    with scripted_workspace(tmp_path / "w") as root:
        yield root


def test_an_open_pass_is_finished_by_a_plain_run_and_under_its_own_policy_by_another_one(workspace: Path) -> None:
    leave_open(workspace, "--policy", STRICT, "--seed", 7)
    strict = f"policy strict {digest_of(STRICT)}, least_gain=3, most_lost=2, seed 7"
    other = started(workspace, "--policy", BD62)
    assert other[0] == f"policy bd62 {digest_of(BD62)}, seed 7"
    assert f"pass 1 is finished as it was begun: {strict}" in other
    assert {d["judgement"]["policy"] for d in shown(workspace, "pass", "show", 1)["decisions"]} == {"strict"}
    started(workspace)
    assert {d["judgement"]["policy"] for d in shown(workspace, "pass", "show", 2)["decisions"]} == {"bd62"}


def test_status_names_what_an_open_pass_was_begun_under_where_it_is_not_what_is_in_force(workspace: Path) -> None:
    leave_open(workspace)
    said = program.autosurgeon("status", "-w", workspace).stdout
    assert "open: pass 1; `autosurgeon run` continues it\n" in said
    run_sql(Workspace(workspace).database, "UPDATE run SET seed = 9")
    said = program.autosurgeon("status", "-w", workspace).stdout
    assert f"continues it, as it began: policy bd62 {digest_of(BD62)}, seed 0\n" in said


def test_an_open_pass_that_cannot_be_finished_is_refused_until_it_is_given_up(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_open(workspace)
    add_setting(workspace, "statistics.samples = 4")
    monkeypatch.setattr(fingerprint, "code_digest", lambda: "newer")
    refused = program.autosurgeon("run", "-n", 1, "-w", workspace)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].endswith(
        "pass 1 is open in state READY and cannot be finished as it was begun; got changes since then: code, settings "
        "[statistics]; wanted what it was begun under put back, or `autosurgeon run --supersede`, which gives the pass "
        "up"
    )
    assert "Traceback" not in refused.stderr
    done = started(workspace, "--supersede", "--reason", "upgraded")
    who = current_person().words
    assert (
        f"pass 1: SUPERSEDED: given up by {who}: begun under another contract: code, settings [statistics]; upgraded"
        in done
    )
    (act,) = acts_of(workspace)
    assert (act.act, act.who, act.reason, act.pass_number) == ("supersede", current_person(), "upgraded", 1)


def test_a_workspace_of_a_scenario_is_run_by_the_settings_and_not_by_rules_that_only_measure(workspace: Path) -> None:
    started(workspace)
    database = Workspace(workspace).database
    audit = load_policy(BD62).in_audit(watch=True)
    with contextlib.closing(SqlStore(database)) as store:
        store.keep_policy(audit.digest, audit.model_dump_json(by_alias=True))
    run_sql(database, "UPDATE run SET policy = NULL, policy_file = NULL, params = NULL, seed = NULL")
    run_sql(database, f"UPDATE pass SET contract = json_set(contract, '$.policy', '{audit.digest}')")
    plain = started(workspace)
    assert plain[0] == f"policy bd62 {digest_of(BD62)}, seed 0"
    assert acts_of(workspace) == []
