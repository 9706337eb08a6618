"""With masking set, nothing that leaves a workspace by a command holds what was planted in it."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders import make_task
from theatre import GainsTwoByLuck, small_theatre, small_world
from typer.testing import CliRunner, Result

from autosurgeon.cli.main import app
from autosurgeon.core.decision import Verdict
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.person import Person
from autosurgeon.core.task import Task
from autosurgeon.errors import UserError
from autosurgeon.loop.decide.overrides import override
from autosurgeon.loop.run_passes import run

PLANTED = ("PROMPT-7f", "PROGRAM_7f", "CHECK_7f", "REASON-7f", "zoe7f", "ERROR-7f")


def command(*arguments: object) -> Result:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit | UserError):
        raise done.exception
    return done


def world() -> dict[str, Task]:
    """The small world, whose gate task 1 has planted prompt and reference."""
    tasks = small_world()
    marked = tasks["b/gate-1"]
    reference = "def solve(x):\n    PROGRAM_7f = x\n    return PROGRAM_7f\n"
    tasks["b/gate-1"] = make_task("b/gate-1", split=marked.split, prompt="# PROMPT-7f\n", reference=reference)
    return tasks


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pass that was refused, overruled with a word full of secrets, and ended; with an error that names a path."""
    root = tmp_path_factory.mktemp("w")
    with small_theatre(root, GainsTwoByLuck(), tasks=world(), audit={"mask": ["prompts", "paths"]}) as ins:
        run(ins)
        assert ins.store.get_pass(1).state in (PassState.REJECTED, PassState.HELD)
        until = datetime.now(UTC) + timedelta(hours=1)
        word = "zoe7f saw /data/REASON-7f/log and 'REASON' in \"/data/my REASON-7f/x\""
        override(ins, 1, Verdict.ACCEPT, by=Person(login="zoe7f"), reason=word, expires_at=until)
        ins.store.record_failure("pass-0001", "fidelity", "no such file: '/srv/ERROR-7f/a b.json'", 0.1)
    # What a check says of a program that failed; the checks of this world quote nothing.
    said = (
        "UPDATE bench_result SET envelope = json_set(envelope, '$.detail', ?) WHERE task_id = 'b/gate-1' AND NOT passed"
    )
    with sqlite3.connect(root / "data" / "autosurgeon.db") as connection:
        connection.execute(said, ("FileNotFoundError: CHECK_7f '/srv/CHECK_7f/x y'",))
    connection.close()
    (root / "autosurgeon.toml").write_text('[audit]\nmask = ["prompts", "paths"]\n')
    return root


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autosurgeon.wiring.lab_tasks", world)


def assert_clean(text: str) -> None:
    assert [secret for secret in PLANTED if secret in text] == []
    assert "masked" in text


def test_the_secrets_are_there_where_nothing_is_masked(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSURGEON_AUDIT__MASK", "[]")
    told = command("report", 1, "-w", planted).stdout + command("audit", "log", "--json", "-w", planted).stdout
    assert [secret for secret in PLANTED if secret not in told] == []


@pytest.mark.parametrize("form", ["md", "html", "json"])
@pytest.mark.parametrize("what", ["1", "campaign"])
def test_a_report_is_clean(planted: Path, tmp_path: Path, form: str, what: str) -> None:
    if form == "json":
        content = json.loads(command("report", what, "-w", planted, "--json").stdout)
        assert_clean(json.dumps(content))
        assert {one["kind"] for one in content["masked"]} >= {"path", "user"}
        return
    page = tmp_path / f"page.{form}"
    assert command("report", what, "-w", planted, "--out", page).exit_code == 0
    assert_clean(page.read_text())


def test_the_reports_that_run_leaves_are_clean(planted: Path) -> None:
    pages = list((planted / "reports").iterdir())
    assert len(pages) == 2
    for page in pages:
        assert_clean(page.read_text())


def test_the_log_is_clean_and_each_record_says_what_was_masked(planted: Path) -> None:
    found = json.loads(command("audit", "log", "-w", planted, "--json").stdout)
    assert_clean(json.dumps(found))
    [word] = [decision for decision in found if decision["action"] == "override"]
    assert {one["kind"]: one["count"] for one in word["masked"]} == {"path": 4, "user": 4}
    assert all(decision["masked"] == [] for decision in found if decision is not word)
    rows = list(csv.DictReader(io.StringIO(command("audit", "log", "-w", planted, "--csv").stdout)))
    assert_clean(str(rows))
    assert rows[-1]["masked"].startswith("2 path (")


def test_the_export_is_clean(planted: Path, tmp_path: Path) -> None:
    done = command("audit", "export", "-w", planted, "--out", tmp_path)
    assert done.exit_code == 0, done.exception
    assert "no policy decision: pass 1 is still open" in done.stdout
    for path in tmp_path.iterdir():
        assert [secret for secret in PLANTED if secret in path.read_text()] == []
    told = json.loads(command("audit", "export", "-w", planted, "--out", tmp_path, "--json").stdout)
    assert [one["wrote"] for one in told] == ["same", "same"]
    one = json.loads(command("audit", "export", told[1]["pack"][:8], "-w", planted, "--out", tmp_path, "--json").stdout)
    assert one == told[1:]


def test_an_export_of_no_pack_is_refused(planted: Path, tmp_path: Path) -> None:
    done = command("audit", "export", "nope", "-w", planted, "--out", tmp_path / "out")
    assert isinstance(done.exception, UserError)
    assert "which fits 0 packs" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_the_memory_and_its_logs_keep_the_truth(planted: Path) -> None:
    assert "REASON-7f" in (planted / "logs" / "decisions.jsonl").read_text()
    # The chain is whole but for the row that this test wrote by itself.
    findings = json.loads(command("audit", "verify", "-w", planted, "--json").stdout)["findings"]
    assert [found["source"] for found in findings] == ["rows"]
    assert "bench_result" in findings[0]["what"]
