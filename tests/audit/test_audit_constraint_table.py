"""The ticks of the incident's table, for passes of every kind: held, broken, and unknown where nothing was measured."""

from __future__ import annotations

from typing import Any

import pytest
from pages import all_accepted, decided, make_bench, make_report

from autosurgeon.audit.constraint_table import Tick, constraints_of
from autosurgeon.audit.pass_report import BenchRun


def ticks(*benches: BenchRun, **changes: Any) -> dict[str, Tick]:
    content: dict[str, Any] = {"decisions": all_accepted()} | changes
    return {tick.name: tick for tick in constraints_of(make_report(benches=benches, **content))}


def test_a_whole_bench_by_the_organ_alone_holds_on_every_line_with_its_numbers() -> None:
    found = ticks(make_bench(), make_bench("leak", foreign=30, excluded="the route leaks"))
    assert [tick.status for tick in found.values()] == ["held"] * 6
    assert found["only the organ answered"].seen == "b 30 of 30"
    assert found["envelopes written, with food, poison and condition"].seen == "b 30 of 30, leak 30 of 30"
    assert found["benchmarks whole"].seen == "30 of 30 counted tasks ran"
    assert found["fallback count visible"].seen == "b 0, leak 0"
    assert found["mode B not skipped"].seen == "ran 30 of 30"
    assert found["no route through a wrong handler"].seen.endswith("leak is excluded: the route leaks")


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"foreign": 1}, {"only the organ answered", "no route through a wrong handler"}),
        ({"written": 29}, {"envelopes written, with food, poison and condition"}),
        ({"fallbacks": 2, "organ_alone": 28}, {"fallback count visible", "mode B not skipped"}),
    ],
)
def test_each_fault_breaks_its_own_lines(changes: dict[str, Any], broken: set[str]) -> None:
    assert {name for name, tick in ticks(make_bench(**changes)).items() if tick.holds is False} == broken


def test_a_counted_bench_that_never_ran_is_missed_by_mode_b() -> None:
    found = ticks(make_bench(), make_bench("other", written=0, organ_alone=0))
    assert found["mode B not skipped"].seen == "ran 30 of 60"
    assert found["mode B not skipped"].holds is False


def test_a_missing_task_breaks_the_bench_and_one_ended_early_leaves_it_unknown() -> None:
    promotion = decided("promotion", {"bench.tasks": 28, "bench.missing": 2})
    assert ticks(make_bench(), decisions=(promotion,))["benchmarks whole"].seen == "28 of 30 counted tasks ran"
    assert ticks(make_bench(), decisions=(promotion,))["benchmarks whole"].holds is False
    early = decided("promotion", {"bench.tasks": 8, "bench.missing": None})
    assert ticks(make_bench(), decisions=(early,))["benchmarks whole"].holds is None


def test_before_any_bench_only_the_route_is_known_by_what_the_proposal_measured() -> None:
    found = ticks(make_bench(written=0, organ_alone=0), decisions=(decided("proposal"),))
    assert found.pop("no route through a wrong handler").seen == "0 of 2 target benches leak, and no bench ran"
    assert {tick.status for tick in found.values()} == {"unknown"}
    leaking = ticks(decisions=(decided("proposal", {"targets.leaking": 1}),))
    assert leaking["no route through a wrong handler"].holds is False


def test_where_nothing_was_measured_nothing_is_claimed() -> None:
    assert {tick.status for tick in ticks(decisions=()).values()} == {"unknown"}
