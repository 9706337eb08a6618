"""What a pass used of the machine: from the capsules into the store, and from there to everyone who asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from databases import run_sql
from theatre import learns_everything, small_theatre
from typer.testing import CliRunner

from autosurgeon.cli.main import app
from autosurgeon.core.decision import Cost
from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.stage_results import Tokens, TrainStageResult
from autosurgeon.core.usage import DeviceUsage
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import CapsuleError
from autosurgeon.loop.run_passes import run

GIB = 1 << 30


def test_what_capsules_use_is_summed_by_stage_pass_and_workspace(tmp_path: Path) -> None:
    tries = 0

    def use(job: Value) -> None:
        nonlocal tries
        ins.meter.see(2 * GIB)
        if isinstance(job, TrainJob):
            tries += 1
            if tries == 1:
                ins.meter.count(3.0, None)
                raise CapsuleError("killed", "by the test")
            ins.meter.count(7.0, DeviceUsage(device="cuda", peak_gpu_bytes=80 * GIB, energy_joules=4200.0))
        else:
            ins.meter.count(0.25, DeviceUsage(device="cpu"))

    with small_theatre(tmp_path, learns_everything, before=use) as ins:
        run(ins)
        decided = {d.judgement.phase: d.cost for d in ins.store.decisions(1) if d.judgement}
        assert decided["proposal"] is not None and decided["proposal"].gpu_seconds == 0
        trained = decided["training"]
        assert trained is not None
        assert (trained.gpu_seconds, trained.peak_gpu_bytes, trained.energy_joules) == (7.0, 80 * GIB, 4200.0)
        report = (ins.workspace.reports / "pass-0001.md").read_text()
        line = next(line for line in report.splitlines() if line.startswith("| train "))
        assert [cell.strip() for cell in line.split("|")][-7:-1] == [
            "1", "0", "7.0", "2.00 GiB", "80.00 GiB", "4.2 kJ",
        ]  # fmt: skip
        assert '<td class="number">80.00 GiB</td>' in (ins.workspace.reports / "pass-0001.html").read_text()

    def asked(*arguments: str) -> str:
        done = CliRunner().invoke(app, [*arguments, "--workspace", str(tmp_path)])
        assert done.exit_code == 0, done.output
        return done.stdout

    shown = json.loads(asked("pass", "show", "1", "--json"))
    assert shown["costs"]["train"]["gpu_seconds"] == 7.0
    assert shown["costs"]["smoke"]["energy_joules"] is None
    failed, done = [stage["usage"] for stage in shown["stages"] if stage["name"] == "train"]
    assert (failed["gpu_seconds"], done["gpu_seconds"]) == (None, 7.0)
    assert "80.00 GiB" in asked("pass", "show", "1")
    spent = json.loads(asked("status", "--json"))["spent"]
    assert (spent["gpu_seconds"], spent["trained_tokens"], spent["peak_host_bytes"]) == (7.0, 1, 2 * GIB)
    assert "GPU seconds: 7.0, peak memory: 2.00 GiB" in asked("status")
    assert "GPU energy: 4.2 kJ" in " ".join(asked("report", "campaign").split())


def test_status_and_the_campaign_report_count_the_same_stages(tmp_path: Path) -> None:
    tries = 0

    def use(job: Value) -> None:
        nonlocal tries
        ins.meter.count(0.25, DeviceUsage(device="cuda", peak_gpu_bytes=GIB, energy_joules=10.0))
        if isinstance(job, TrainJob):
            tries += 1
            if tries <= 4:  # every try of pass 1, and one of pass 2
                raise CapsuleError("killed", "by the test")

    def asked(*arguments: str) -> Any:
        done = CliRunner().invoke(app, [*arguments, "--json", "--workspace", str(tmp_path)])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def shown() -> tuple[Cost, Cost, Cost, list[Cost]]:
        status, campaign = asked("status"), asked("report", "campaign")
        passes = [asked("pass", "show", str(line["number"])) for line in campaign["passes"]]
        reported = [asked("report", str(line["number"])) for line in campaign["passes"]]
        by_pass = [sum(map(Cost.model_validate, one["costs"].values()), Cost()) for one in passes]
        assert by_pass == [Cost.model_validate(line["cost"]) for line in campaign["passes"]]
        assert by_pass == [Cost.model_validate(one["cost"]) for one in reported]
        status, report, outside = (
            Cost.model_validate(one) for one in (status["spent"], campaign["spent"], campaign["outside"])
        )
        return status, report, outside, by_pass

    with small_theatre(tmp_path, learns_everything, passes=2, before=use) as ins:
        assert run(ins) == "passes"
        assert [record.state for record in ins.store.passes()] == ["FAILED", "CONFIRMED"]
        # A stage that was run again, since its files were lost, counts once more, with the tokens of its own output.
        trained = ins.store.stage_result("pass-0002", TrainStageResult)
        assert trained is not None
        again = trained.model_copy(update={"tokens": Tokens(trained=5)}).content()
        ins.store.commit_stage("pass-0002", "train", again, 1.5, "again")
        assert ins.store.spent().seconds == pytest.approx(ins.store.stage_seconds())
    status, report, outside, by_pass = shown()
    assert status == report
    assert outside.seconds > 0
    assert outside.generated_tokens > 0
    total = sum(by_pass, outside)
    assert (total.trained_tokens, total.generated_tokens) == (report.trained_tokens, report.generated_tokens)
    assert (total.seconds, total.gpu_seconds) == pytest.approx((report.seconds, report.gpu_seconds))
    # An old workspace has no sum of its own: it is made of the stages, and is the same one.
    run_sql(Workspace(tmp_path).database, "DELETE FROM spent")
    assert shown() == (status, report, outside, by_pass)
