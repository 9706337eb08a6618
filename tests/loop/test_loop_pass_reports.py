"""Reports of passes that the loop ran with a scripted model: gathered from the store alone, and never in its way."""

from __future__ import annotations

import errno
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pages import Page
from theatre import first_half, learns_everything, small_theatre
from typer.testing import CliRunner

from autosurgeon.audit.constraint_table import constraints_of
from autosurgeon.audit.render_reports import render_campaign, render_pass
from autosurgeon.cli.main import app
from autosurgeon.core.decision import Verdict
from autosurgeon.core.jobs import PROGRESS_FILE
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.person import current_person
from autosurgeon.errors import UserError
from autosurgeon.loop import pass_reports as report_module
from autosurgeon.loop.decide.overrides import override
from autosurgeon.loop.pass_reports import (
    read_campaign_report,
    read_pass_report,
    read_steps,
    sources_of,
    write_pass_report,
)
from autosurgeon.loop.run_passes import run


def forgets_one(generation: int, task_id: str) -> bool:
    """Whatever was trained learns everything and forgets one win."""
    return task_id != "b/gate-2" if generation else first_half(task_id)


def fools_the_gate(generation: int, task_id: str) -> bool:
    """Whatever was trained solves all but the canary."""
    return "canary" not in task_id if generation else first_half(task_id)


def test_a_promoted_pass_leaves_both_pages_with_the_content_of_the_store(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything, pictures=True) as ins:
        run(ins)
        report = read_pass_report(sources_of(ins), 1)
        pages = {form: (ins.workspace.reports / f"pass-0001.{form}").read_text() for form in ("md", "html")}
        assert pages == {"md": render_pass(report, "md"), "html": render_pass(report, "html")}
        assert not list(ins.workspace.reports.glob("*.part"))
    assert report.record.state == PassState.CONFIRMED
    assert [judgement.phase for _, judgement in report.judged] == [
        "proposal",
        "training",
        "smoke",
        "merge",
        "promotion",
        "watch",
    ]
    assert set(report.rows) == {"anchor", "poison"}
    failed = {t for t in ins.tasks if t.startswith("b/") and "canary" not in t and not first_half(t)}
    assert {flip.task_id for flip in report.flipped("gained")} == failed
    gained = report.flipped("gained")[0]
    assert gained.diff is not None
    assert "-    return 'wrong'" in gained.diff
    assert gained.poison == "wrong"
    assert [(live.version, live.how, live.during, live.total) for live in report.trend] == [
        (1, "baseline", None, 10),
        (2, "promote", 1, 18),
    ]
    assert str(tmp_path) not in pages["md"] + pages["html"]


def test_the_constraints_of_a_promoted_pass_are_held_and_the_leaking_bench_is_named(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        ticks = {tick.name: tick for tick in constraints_of(read_pass_report(sources_of(ins), 1))}
    assert all(tick.holds for tick in ticks.values())
    assert ticks["mode B not skipped"].seen == "ran 14 of 14"
    assert ticks["benchmarks whole"].seen == "14 of 14 counted tasks ran"
    assert ticks["envelopes written, with food, poison and condition"].seen == "b 14 of 14, leak 2 of 2"
    assert "leak is excluded: the route leaks: 2 of 2" in ticks["no route through a wrong handler"].seen


def test_a_pass_refused_at_the_smoke_shows_the_adapters_program_and_claims_no_bench(tmp_path: Path) -> None:
    with small_theatre(tmp_path, forgets_one) as ins:
        run(ins)
        report = read_pass_report(sources_of(ins), 1)
    (flip,) = report.flips
    assert (flip.task_id, flip.kind, flip.split) == ("b/gate-2", "lost", "gate")
    assert "anchor" in flip.marks
    assert flip.after is not None
    assert "wrong" in flip.after
    ticks = {tick.name: tick.holds for tick in constraints_of(report)}
    assert ticks["no route through a wrong handler"] is True
    assert sum(holds is None for holds in ticks.values()) == 5
    assert "Phase smoke, rule anchor-wins-kept" in report.headline


def test_a_held_and_a_reverted_pass_are_reported_with_their_rules(tmp_path: Path) -> None:
    with small_theatre(tmp_path / "held", lambda generation, task_id: first_half(task_id)) as ins:
        run(ins)
        assert "The evidence was inconclusive" in read_pass_report(sources_of(ins), 1).headline
    with small_theatre(tmp_path / "reverted", fools_the_gate) as ins:
        run(ins)
        report = read_pass_report(sources_of(ins), 1)
        assert "version 3 is an older pack. Phase watch, rule canary-holds" in report.headline
        assert [live.how for live in report.trend] == ["baseline", "promote", "revert"]


def test_an_overruled_refusal_is_reported_as_such(tmp_path: Path) -> None:
    with small_theatre(tmp_path, forgets_one, passes=2) as ins:
        ins.brakes.passes = 1
        run(ins)
        until = datetime.now(UTC) + timedelta(hours=1)
        override(ins, 1, Verdict.ACCEPT, by=current_person(), reason="it is flaky", expires_at=until)
        run(ins)
        report = read_pass_report(sources_of(ins), 1)
        campaign = read_campaign_report(sources_of(ins))
    assert len(report.overrides) == 1
    assert "A person overruled 1 of its verdicts." in report.headline
    assert "it is flaky" in render_pass(report, "md")
    assert campaign.passes[0].overridden
    assert "it is flaky" in render_campaign(campaign, "md")


def test_a_report_that_cannot_be_made_does_not_fail_the_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> str:
        raise ValueError("no page today")

    monkeypatch.setattr(report_module, "render_pass", breaks)
    with small_theatre(tmp_path, learns_everything) as ins:
        assert run(ins) == "passes"
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        write_pass_report(sources_of(ins), 99)
    assert not (tmp_path / "reports" / "pass-0001.md").exists()


def test_there_is_no_report_of_a_pass_that_never_was(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins, pytest.raises(UserError, match="no such pass"):
        read_pass_report(sources_of(ins), 7)


def test_a_campaign_sums_up_its_passes(tmp_path: Path) -> None:
    with small_theatre(tmp_path, forgets_one, passes=2) as ins:
        run(ins)
        campaign = read_campaign_report(sources_of(ins))
    assert [(line.number, line.phase, line.rule) for line in campaign.passes] == [
        (1, "smoke", "anchor-wins-kept"),
        (2, "smoke", "anchor-wins-kept"),
    ]
    assert campaign.states == {"REJECTED": 2}
    (rule,) = campaign.rules
    assert (rule.rule_id, rule.refused) == ("anchor-wins-kept", 2)
    assert [(flip.task_id, flip.lost) for flip in campaign.flips] == [("b/gate-2", 2)]
    assert campaign.spent.seconds > campaign.outside.seconds > 0
    page = Page(render_campaign(campaign, "html"))
    assert page.misfits == []


def test_the_command_prints_pages_and_values_and_writes_html_where_the_name_ends_so(tmp_path: Path) -> None:
    with small_theatre(tmp_path, forgets_one) as ins:
        run(ins)
    cli, where = CliRunner(), ["--workspace", str(tmp_path)]
    shown = cli.invoke(app, ["report", "1", *where])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith("# Pass 1: REJECTED\n")
    found = json.loads(cli.invoke(app, ["report", "1", "--json", *where]).output)
    assert found["record"]["number"] == 1
    assert len(found["constraints"]) == 6
    assert cli.invoke(app, ["report", "campaign", *where]).output.startswith("# Campaign: 1 passes\n")
    assert cli.invoke(app, ["report", "campaign", "--format", "html", *where]).output.startswith("<!doctype html>")
    out = tmp_path / "page.html"
    assert cli.invoke(app, ["report", "1", "--out", str(out), *where]).output == ""
    assert Page(out.read_text()).misfits == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["report", "nine"], "a number or `campaign`"),
        (["report", "1", "--format", "pdf"], "md or html"),
        (["report", "7"], "there is no such pass"),
        (["report", "1", "--out", "/nowhere/at/all.md"], "cannot be written"),
    ],
)
def test_a_mistyped_report_is_one_line(tmp_path: Path, arguments: list[str], expected: str) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
    result = CliRunner().invoke(app, [*arguments, "--workspace", str(tmp_path)])
    assert isinstance(result.exception, UserError)
    assert expected in str(result.exception)


def test_steps_are_read_as_far_as_they_are_whole_and_thinned_where_they_are_many(tmp_path: Path) -> None:
    path = tmp_path / PROGRESS_FILE
    assert read_steps(path) == ()
    lines = ['{"done": 1, "total": 3, "loss": 1.5}', '{"done": 2, "total": 3, "loss": NaN}', "[]", '{"done": 3, "los']
    path.write_text("\n".join(lines))
    assert read_steps(path) == ((1, 1.5),)
    path.write_text("".join(json.dumps({"done": n, "total": 9000, "loss": 1.0}) + "\n" for n in range(1, 9001)))
    assert len(read_steps(path)) == 1800


def test_a_report_that_a_crash_kept_from_being_written_is_written_by_the_next_start(tmp_path: Path) -> None:
    with small_theatre(tmp_path, forgets_one) as ins:
        run(ins)
        whole = {path.name for path in ins.workspace.reports.iterdir()}
        (ins.workspace.reports / "pass-0001.html").unlink()
    with small_theatre(tmp_path, forgets_one, passes=0) as ins:
        run(ins)
        assert {path.name for path in ins.workspace.reports.iterdir()} == whole


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_under_a_report_is_handled_as_anywhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(path: Path, text: str) -> None:
        raise OSError(number, "by the test")

    with small_theatre(tmp_path, forgets_one) as ins:
        run(ins)
        monkeypatch.setattr(report_module, "write_whole", fail)
        with pytest.raises(OSError, match="by the test"):
            write_pass_report(sources_of(ins), 1)
