from __future__ import annotations

import pytest

from autosurgeon.bench.jail import LEVELS, Level, levels_here
from autosurgeon.bench.jail_selfcheck import check_jail
from autosurgeon.sections import GradingSettings


@pytest.mark.parametrize("level", LEVELS)
def test_every_promise_of_a_level_is_tried_and_holds_but_the_plain_level_has_no_sandbox(level: Level) -> None:
    if level not in levels_here():
        pytest.skip(f"this machine has no {level}")
    findings = check_jail(GradingSettings(jail=level))
    broken = [finding.promise for finding in findings if not finding.holds]
    assert broken == (["a sandbox"] if level == "plain" else [])
    assert len(findings) > 6


def test_a_jail_that_lets_a_program_write_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autosurgeon.bench.jail_selfcheck._ESCAPES", {"arithmetic": "1 + 1"})
    if levels_here()[0] == "plain":
        pytest.skip("this machine has no sandbox")
    broken = [finding.promise for finding in check_jail(GradingSettings()) if not finding.holds]
    assert broken == ["arithmetic is refused"]
