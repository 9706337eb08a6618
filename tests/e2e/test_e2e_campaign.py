"""The campaign benchmark in its short form: a pass of the incident's recipe and one of the product, on the real lab."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autosurgeon.config import shipped

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.skipif(not shipped("data", "lab", "base").is_dir(), reason="the lab's base is not here")
def test_one_pass_of_the_product_gains_and_loses_no_confirmed_win_where_the_incidents_recipe_loses_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from campaign_report import plot, print_report
    from campaignarms import ARMS
    from campaignrun import run_campaign

    arms = [ARMS[0], ARMS[-1]]
    incident, product = found = [run_campaign(arm, 1, 1 << 30, 0.0, tmp_path, most=1) for arm in arms]
    assert [len(campaign.points) for campaign in found] == [1, 1]
    assert incident.ever_lost > 5
    assert incident.points[0].state == "CONFIRMED"
    assert product.ever_lost == 0
    assert product.points[0].wins > product.wins
    assert run_campaign(arms[1], 1, 1 << 30, 0.0, tmp_path, most=1) == product  # kept, and not run again
    print_report(arms, found, 1 << 30)
    printed = capsys.readouterr().out
    assert "a incident" in printed and "e product less a incident, by seed" in printed
    plot(tmp_path / "plot.png", arms, found, 100_000)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    for name in ("campaignarms", "campaignrun", "campaign_report"):
        sys.modules.pop(name, None)
