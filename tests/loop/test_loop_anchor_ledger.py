"""The anchor ledger: which wins are guarded, and what takes one out."""

from __future__ import annotations

from typing import Any

from builders import make_task
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.records import AnchorRun, Live, Quarantine
from autosurgeon.core.task import Split
from autosurgeon.loop.baseline.anchor_ledger import Entry, Known, coverage, hidden_part, live_line, read_ledger
from autosurgeon.sections import AnchorSettings

NOW = "2030-01-01T00:00:00+00:00"
SETTINGS = AnchorSettings()
TASK = "b/0"


def known(**changes: Any) -> Known:
    content: dict[str, Any] = {
        "line": ("live",),
        "results": {"live": {TASK: True}},
        "samples": {},
        "runs": {},
        "quarantines": {},
        "trained": frozenset(),
        "history": {},
        "passes": 0,
    }
    return Known(**(content | changes))


def entry(split: Split = Split.GATE, **changes: Any) -> Entry:
    tasks = {TASK: make_task(TASK, split=split, cluster="dicts/first/second")}
    return read_ledger(tasks, known(**changes), SETTINGS, counted={"b"}, seed=0, now=NOW)[TASK]


def runs(*outcomes: tuple[int, int]) -> dict[str, list[AnchorRun]]:
    return {TASK: [AnchorRun(f"o{n}", TASK, tries, passed) for n, (tries, passed) in enumerate(outcomes)]}


def aside(expires_at: str) -> dict[str, Quarantine]:
    return {TASK: Quarantine(task_id=TASK, reason="broken test", by="ann", at=NOW, expires_at=expires_at)}


def test_a_win_is_provisional_until_something_confirms_it() -> None:
    assert entry().state == "provisional"
    assert entry(samples={TASK: (4, 3)}).why == "only 3 of 4 samples passed"
    assert entry(samples={TASK: (4, 4)}).state == "anchor"


def test_a_win_of_two_live_packs_in_a_row_needs_no_samples() -> None:
    both = {"old": {TASK: True}, "live": {TASK: True}}
    found = entry(line=("old", "live"), results=both, samples={TASK: (4, 1)})
    assert (found.state, found.wins) == ("anchor", 2)
    assert entry(line=("old", "live"), results={"old": {}, "live": {TASK: True}}).state == "provisional"


def test_what_live_fails_or_never_ran_is_no_anchor_whatever_was_before() -> None:
    assert entry(results={"live": {TASK: False}}, samples={TASK: (4, 4)}).state == "failing"
    assert entry(results={"live": {}}).state == "unknown"


def test_a_win_of_the_canary_split_is_never_guarded_before_its_promotion() -> None:
    assert entry(Split.CANARY, samples={TASK: (4, 4)}).state == "canary"


def test_a_task_that_is_set_aside_comes_back_when_its_time_is_over() -> None:
    sampled = {TASK: (4, 4)}
    assert entry(samples=sampled, quarantines=aside("2030-01-02T00:00:00+00:00")).state == "quarantined"
    assert entry(samples=sampled, quarantines=aside("2029-12-31T00:00:00+00:00")).state == "anchor"


def test_a_task_that_the_same_weights_fail_and_pass_too_often_is_flaky() -> None:
    sampled = {TASK: (4, 4)}
    often = runs((2, 1), (1, 1), (1, 1), (1, 1), (1, 1))
    assert entry(samples=sampled, runs=often).state == "flaky"
    few = runs((2, 1), (1, 1))
    assert entry(samples=sampled, runs=few).state == "anchor"
    lost_for_good = runs(*[(4, 0)] * 9)
    assert entry(samples=sampled, runs=lost_for_good).flake_rate == 0


def test_what_was_reverted_is_no_part_of_the_line_of_live_packs() -> None:
    history = [Live(n, pack, "d", NOW) for n, pack in enumerate(("a", "b", "a", "c", "d", "c"), start=1)]
    assert live_line(history) == ("a", "c")


def entries(count: int, trained: int = 0) -> list[Entry]:
    return [
        Entry(
            task_id=f"b/{n}",
            bench="b",
            split="surgery",
            family="f",
            state="anchor",
            why="",
            wins=1,
            trained=n < trained,
        )
        for n in range(count)
    ]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 99), st.integers(0, 5))
def test_the_hidden_part_is_a_share_that_no_training_has_seen(count: int, trained: int, passes: int, seed: int) -> None:
    pool = entries(count, min(trained, count))
    hidden = hidden_part(pool, SETTINGS, seed=seed, passes=passes)
    never = {e.task_id for e in pool if not e.trained}
    assert hidden <= never
    assert len(hidden) == min(len(never), round(0.25 * count))


def test_another_term_hides_another_part() -> None:
    terms = {hidden_part(entries(40), SETTINGS, seed=0, passes=passes) for passes in (0, 9, 10)}
    assert len(terms) == 2


def test_coverage_counts_tasks_wins_and_anchors_by_family() -> None:
    assert coverage([entry(samples={TASK: (4, 4)})]) == {"dicts": {"tasks": 1, "wins": 1, "anchors": 1, "hidden": 0}}


def test_a_cluster_that_is_named_after_a_task_is_no_family() -> None:
    clusters = {"he/1": "he/1", "mbpp/2": "he/1", "mbpp/3": "sorting/by hand"}
    tasks = {name: make_task(name, cluster=cluster) for name, cluster in clusters.items()}
    found = read_ledger(tasks, known(), SETTINGS, counted=("he", "mbpp"), seed=0, now=NOW)
    assert [entry.family for entry in found.values()] == ["he", "mbpp", "sorting"]
