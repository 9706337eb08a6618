"""Deploy hooks, by real commands and a real server: live moves once the runtime serves it, and both stay together."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from runtimes import runtime
from theatre import GainsTwoByLuck, first_half, learns_everything, small_theatre
from typer.testing import CliRunner

from autosurgeon.cli.main import app
from autosurgeon.config import Settings, load_settings
from autosurgeon.core.decision import Verdict
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.person import Person
from autosurgeon.core.records import Deployment
from autosurgeon.errors import UserError
from autosurgeon.loop.decide.live import revert
from autosurgeon.loop.decide.overrides import override
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import run
from autosurgeon.workspace_status import read_status

SERVE = "echo {pack} > served; echo $AUTOSURGEON_ACTION {version} >> served.log"
"""A runtime that is a file, with a log of its commands."""


def hooks(promote: str = SERVE, revert: str = "", **others: Any) -> dict[str, Any]:
    """Settings of shell commands."""
    return {"promote": ("sh", "-c", promote)} | ({"revert": ("sh", "-c", revert)} if revert else {}) | others


def deployments(ins: Instruments) -> list[Deployment]:
    """The ended deployments of the chain."""
    return [Deployment.model_validate_json(event.payload) for event in ins.store.each_event() if event.kind == "deploy"]


def served(ins: Instruments) -> str:
    return (ins.workspace.root / "served").read_text().strip()


def live_of(ins: Instruments) -> tuple[int, str]:
    live = ins.store.live()
    assert live is not None
    content = json.loads(ins.workspace.live_file.read_text())
    assert (content["version"], content["pack"]) == (live.version, live.pack)
    return live.version, live.pack


def falls_on_the_canary(generation: int, task_id: str) -> bool:
    """A pack that wins its bench and loses tasks of the canary."""
    return first_half(task_id) if generation == 0 else "canary" not in task_id


def test_live_moves_once_the_runtime_answers_with_the_new_pack(tmp_path: Path) -> None:
    with runtime(tmp_path / "served") as deployed:
        command = f"{SERVE}; cat {{live}} > live-$AUTOSURGEON_ACTION; test -f $AUTOSURGEON_FOLDER/model.safetensors"
        command += "; pack=mine; echo ${pack} {other} > braces"
        with small_theatre(tmp_path, learns_everything, deploy=hooks(command, url=deployed.url)) as ins:
            assert run(ins) == "passes"
            record, (version, pack) = ins.store.get_pass(1), live_of(ins)
            assert (record.state, version, record.pack, served(ins)) == (PassState.CONFIRMED, 2, pack, pack)
            base = ins.store.base_pack()
            # The base is deployed after it goes live, the new pack before.
            assert (tmp_path / "served.log").read_text().splitlines() == ["revert 1", "promote 1"]
            assert json.loads((tmp_path / "live-promote").read_text())["pack"] == base
            assert (tmp_path / "braces").read_text() == "mine {other}\n"
            actions = [(d.decision_id, d.action, d.live_version) for d in ins.store.decisions(1)][-3:]
            assert actions == [
                ("pass-0001-promotion", "continue", None),
                ("pass-0001-deployed", "promote", 2),
                ("pass-0001-watch", "continue", None),
            ]
            assert "deploy" in [stage.name for stage in ins.store.stages("pass-0001")]
            assert [(d.action, d.pack, d.exit_code, d.error) for d in deployments(ins)] == [
                ("revert", base, 0, None),
                ("promote", pack, 0, None),
            ]
            assert "/v1/completions" in deployed.asked
            status = read_status(ins.store)["deployed"]
            assert (status["pack"], status["serves_live"]) == (pack, True)


@pytest.mark.parametrize(
    ("promote", "why"),
    [
        ("echo no room on the device >&2; exit 3", "the promote command ended with exit code 3: no room on the device"),
        ("echo; sleep 60", "the promote command was killed at its deadline"),
    ],
)
def test_a_promote_command_that_fails_leaves_the_old_pack_live_and_has_it_served_again(
    tmp_path: Path, promote: str, why: str
) -> None:
    deploy = hooks(f"echo broken > served; {promote}", SERVE, deadline_s=1)
    book = ("sh", "-c", f"cat > {tmp_path}/notified-$$")
    with small_theatre(tmp_path, learns_everything, deploy=deploy, notify={"command": book}) as ins:
        assert run(ins) == "passes"
        record, base = ins.store.get_pass(1), ins.store.base_pack()
        assert (record.state, record.reason) == (PassState.FAILED, f"live stays: {why}")
        assert record.feedback is not None and record.feedback.failed
        assert live_of(ins) == (1, base)
        assert served(ins) == base
        assert (ins.store.decisions(1)[-1].decision_id, ins.store.decisions(1)[-1].action) == (
            "pass-0001-deployed-failed",
            "stop",
        )
        failed = next(stage for stage in ins.store.stages("pass-0001") if stage.name == "deploy")
        assert failed.error == why
        assert f"ALARM: {why}" in ins.reporter.lines  # type: ignore[attr-defined]
        assert [d.error for d in deployments(ins)] == [None, why, None]
        assert why.split(":")[0] in (ins.workspace.reports / "pass-0001.md").read_text()
    documents = [json.loads(file.read_text()) for file in tmp_path.glob("notified-*") if file.stat().st_size]
    assert [document["reason"] for document in documents if document["event"] == "deploy"] == [why]


def test_a_runtime_that_goes_on_answering_with_the_old_pack_is_no_deployment(tmp_path: Path) -> None:
    with runtime(tmp_path / "served") as deployed:
        deploy = hooks("echo done", SERVE, url=deployed.url, answer_s=0.5)
        with small_theatre(tmp_path, learns_everything, deploy=deploy) as ins:
            run(ins)
            record = ins.store.get_pass(1)
            assert record.state == PassState.FAILED
            assert "does not serve pack" in record.reason
            assert "it lists 1 models, and not that one" in record.reason
            assert live_of(ins)[1] == served(ins) == ins.store.base_pack()


def test_a_revert_by_the_watch_reaches_the_runtime_and_a_command_that_fails_then_cannot_stop_it(tmp_path: Path) -> None:
    broken = f"test $(wc -l < served.log) != 2 || {{ echo wedged; exit 9; }}; {SERVE}"
    with small_theatre(tmp_path, falls_on_the_canary, deploy=hooks(SERVE, f"touch served.log; {broken}")) as ins:
        run(ins)
        base = ins.store.base_pack()
        assert ins.store.get_pass(1).state == PassState.REVERTED
        assert live_of(ins) == (3, base)
        # Deployments of the base and the new pack, and two failures: at the revert and after the pass.
        assert [(d.action, d.error) for d in deployments(ins)] == [
            ("revert", None),
            ("promote", None),
            *[("revert", "the revert command ended with exit code 9: wedged")] * 2,
        ]
        status = read_status(ins.store)["deployed"]
        assert (status["serves_live"], status["exit_code"]) == (False, 9)
    shown = CliRunner().invoke(app, ["status", "--workspace", str(tmp_path)])
    assert "ALARM: not deployed: the revert command ended with exit code 9: wedged" in shown.stdout
    (tmp_path / "served.log").unlink()
    with small_theatre(tmp_path, falls_on_the_canary, passes=0, deploy=hooks()) as ins:
        run(ins)
        assert served(ins) == base
    shown = CliRunner().invoke(app, ["status", "--workspace", str(tmp_path)])
    assert f"deployed: pack {base[:12] if base else ''}, by the revert command" in shown.stdout


def test_a_revert_by_hand_reaches_the_runtime_and_a_start_that_finds_all_well_sends_nothing(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything, deploy=hooks()) as ins:
        run(ins)
        revert(ins, None, live_of(ins)[1], "the old one was nicer")
        assert served(ins) == live_of(ins)[1] == ins.store.base_pack()
    log = (tmp_path / "served.log").read_text()
    with small_theatre(tmp_path, learns_everything, passes=0, deploy=hooks()) as ins:
        run(ins)
    assert (tmp_path / "served.log").read_text() == log


def test_a_start_corrects_a_runtime_that_answers_with_another_pack(tmp_path: Path) -> None:
    with runtime(tmp_path / "served") as deployed:
        for content in (None, "somebody else's\n"):
            if content is not None:
                (tmp_path / "served").write_text(content)
            with small_theatre(tmp_path, learns_everything, passes=0, deploy=hooks(url=deployed.url)) as ins:
                if content is None:
                    ins.brakes.passes = 1
                run(ins)
                assert served(ins) == live_of(ins)[1]


def test_what_a_person_accepts_is_deployed_before_it_goes_live(tmp_path: Path) -> None:
    with small_theatre(tmp_path, GainsTwoByLuck(), deploy=hooks()) as ins:
        run(ins)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        override(ins, 1, Verdict.ACCEPT, by=Person(login="ann"), reason="worth it", expires_at=tomorrow)
        run(ins)
        assert [d.action for d in ins.store.decisions(1)][-3:] == ["override", "promote", "continue"]
        assert served(ins) == live_of(ins)[1] == ins.store.get_pass(1).pack
        assert (tmp_path / "served.log").read_text().splitlines() == ["revert 1", "promote 1"]


def test_a_command_in_which_the_process_dies_again_and_again_is_set_aside(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything, deploy=hooks()) as ins:
        for _ in range(6):
            ins.store.begin_stage("pass-0001", "deploy")
        run(ins)
        assert ins.store.get_pass(1).state == PassState.FAILED
        assert "the process died 6 times" in ins.store.get_pass(1).reason
        assert served(ins) == live_of(ins)[1] == ins.store.base_pack()


@pytest.mark.parametrize(
    "content", ['url = "http://localhost:8000/v1"', 'revert = ["true"]', 'promote=["x"]\nurl="ftp://x"']
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, content: str) -> None:
    config = tmp_path / "autosurgeon.toml"
    config.write_text(f"[deploy]\n{content}\n")
    with pytest.raises(UserError, match="deploy"):
        load_settings(config)
    assert Settings().deploy.promote == ()
