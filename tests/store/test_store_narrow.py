"""Narrow queries give the same results as reading everything."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from builders import make_contract, make_decision, make_recipe, make_results
from databases import Place, make_at, run_sql
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autosurgeon.core.decision import Alpha
from autosurgeon.core.pack import Lineage, Manifest, PackedFile
from autosurgeon.core.pass_states import PassState, number_of, pass_scope
from autosurgeon.core.records import AnchorRun, Feedback
from autosurgeon.core.stage_results import StageResult
from autosurgeon.store.sqlstore import SqlStore
from autosurgeon.store.tables import CLIMB

TASKS = ("b/0", "b/1", "b/2")
FEEDBACK = st.builds(
    Feedback,
    value=st.none() | st.sampled_from([0.0, 0.5, 1.0, 2.0, 1e-7, 12.25, 1e22]),
    violations=st.dictionaries(st.sampled_from(['"value":3', "b"]), st.floats(0.1, 9), max_size=1),
    failed=st.booleans(),
)
ENDS = (PassState.REJECTED, PassState.HELD, PassState.FAILED, PassState.CONFIRMED, PassState.REVERTED, None)
ROAD = ("PLANNED", "READY", "TRAINED", "SMOKED", "PACKED", "LIVE")
PASSES = st.lists(st.tuples(st.sampled_from(ENDS), st.none() | FEEDBACK, st.booleans()), max_size=6)
SAME_STORE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=8)


def emptied(store: SqlStore, place: Place) -> SqlStore:
    """The same store without a row: to make it anew for every example would take minutes."""
    for table in ("pass", "decision", "live", "stage", "taught", "anchor_run", "bench_result", "pack", "look", "event"):
        run_sql(place, f'DELETE FROM "{table}"')
    return store


def one_pass(store: SqlStore, end: PassState | None, feedback: Feedback | None, refuses: bool) -> None:
    """A pass with its decisions, as far as its end wants."""
    number = store.begin_pass(make_recipe(), "parent", "live", make_contract())
    is_live = end in (PassState.CONFIRMED, PassState.REVERTED)
    for state in ROAD if is_live else ROAD[: number % 5]:
        live = f"p{number}" if state == "LIVE" else None
        decision = make_decision(f"{pass_scope(number)}-{state}", pass_number=number)
        store.decide(decision, state=PassState(state), feedback=feedback, live_pack=live)
    if end is not None:
        action: Any = "revert" if end == PassState.REVERTED else "stop"
        to = "base" if end == PassState.REVERTED else None
        decision = make_decision(f"{pass_scope(number)}-end", pass_number=number, action=action)
        store.decide(decision, state=end, feedback=feedback, live_pack=to)
    elif refuses:
        store.decide(make_decision(f"{pass_scope(number)}-word", action="override", pass_number=number))


@SAME_STORE
@given(passes=PASSES, count=st.integers(1, 9), best=st.integers(0, 4), before=st.none() | st.integers(1, 9))
def test_queries_of_passes_agree_with_all_passes(
    store: SqlStore, place: Place, passes: Any, count: int, best: int, before: int | None
) -> None:
    emptied(store, place)
    for end, feedback, refuses in passes:
        one_pass(store, end, feedback, refuses)
    known = store.passes()
    assert [record.number for record in known] == list(range(1, len(passes) + 1))
    assert store.open_passes() == [record for record in known if not record.state.is_finished]
    assert store.pass_counts() == Counter(record.state for record in known)
    for state in PassState:
        assert store.numbers_in(state) == [record.number for record in known if record.state == state]
    earlier = [record for record in known if before is None or record.number < before]
    assert store.last_passes(count, before=before) == earlier[-count:]
    assert store.last_passes(None, before=before) == earlier
    dev_climb = [r for r in earlier if r.feedback and r.feedback.value is not None and r.feedback.value > 0]
    highest = sorted(dev_climb, key=lambda r: (r.feedback.value if r.feedback else None, r.number), reverse=True)[:best]
    wanted = {record.number for record in (*earlier[-count:], *highest)}
    assert store.remembered_passes(count, best, before=before) == [r for r in known if r.number in wanted]


@SAME_STORE
@given(passes=PASSES, after=st.integers(0, 12))
def test_queries_of_decisions_and_versions_agree_with_all_of_them(
    store: SqlStore, place: Place, passes: Any, after: int
) -> None:
    emptied(store, place)
    assert (store.live(), store.base_pack(), store.reverted_versions()) == (None, None, set())
    assert store.good_before_live() is None
    store.decide(make_decision("base-import", action="baseline"), live_pack="base")
    for end, feedback, refuses in passes:
        one_pass(store, end, feedback, refuses)
    known, history = store.decisions(), store.live_history()
    assert (store.live(), store.base_pack()) == (history[-1], history[0].pack)
    reverts = [d.live_version - 1 for d in known if d.action == "revert" and d.live_version is not None]
    assert store.reverted_versions() == set(reverts)
    good = [live.pack for live in history if live.pack != history[-1].pack and live.version not in reverts]
    assert store.good_before_live() == (good[-1] if good else None)
    places = [store.place_of(decision.decision_id) for decision in known]
    assert None not in places
    ordered = [place for place in places if place is not None]
    assert ordered == sorted(set(ordered))
    assert store.place_of("nothing") is None
    cut = min(after, len(known))
    assert list(store.each_decision(after=([0, *ordered])[cut])) == known[cut:]
    some = [decision.decision_id for decision in known[cut:]]
    assert store.decisions_named([*some, "nothing"]) == {d.decision_id: d for d in known[cut:]}


@SAME_STORE
@given(
    rows=st.lists(st.tuples(st.sampled_from(TASKS), st.integers(0, 3)), max_size=30),
    asked=st.sets(st.sampled_from((*TASKS, "b/9"))),
    count=st.integers(1, 5),
)
def test_the_last_anchor_runs_are_the_ends_of_all_runs(
    store: SqlStore, place: Place, rows: list[tuple[str, int]], asked: set[str], count: int
) -> None:
    emptied(store, place)
    for number, (task, passed) in enumerate(rows):
        store.commit_stage("s", f"n{number}", {}, 0.5, "e", anchor_runs=[AnchorRun(f"o{number}", task, 3, passed)])
    known = {task: [run for run in store.anchor_runs() if run.task_id == task][-count:] for task in asked}
    assert store.last_anchor_runs(asked, count) == {task: runs for task, runs in known.items() if runs}


@SAME_STORE
@given(st.lists(st.tuples(st.sampled_from("abc"), st.dictionaries(st.sampled_from(TASKS), st.booleans())), max_size=6))
def test_results_of_several_packs_agree_with_those_of_each(
    store: SqlStore, place: Place, runs: list[tuple[str, dict[str, bool]]]
) -> None:
    emptied(store, place)
    for number, (pack, won) in enumerate(runs):
        results = make_results(won).values()
        store.commit_stage("s", f"n{number}", {}, 0.5, "e", envelopes=(pack, f"o{number}", results))
    assert store.passed_by([*"abd"]) == {pack: store.passed(pack) for pack in "abd"}


DATASETS = st.lists(
    st.tuples(
        st.sampled_from([*map(pass_scope, range(1, 6)), "ablation", "pass-x"]),
        st.lists(st.tuples(st.sampled_from(TASKS), st.sampled_from(["poison", "anchor"])), max_size=4),
    ),
    max_size=8,
)


def dataset(rows: list[tuple[str, str]]) -> dict[str, Any]:
    place = {"prompt": "p", "completion": "c", "bench": "b", "split": "surgery"}
    chosen = [{"task_id": task, "why": why, **place} for task, why in rows]
    poison = [task for task, why in rows if why == "poison"]
    return {"dataset": {"rows": chosen}, "digest": "d", "poison": poison}


def check_what_was_taught(store: SqlStore, datasets: list[tuple[str, list[tuple[str, str]]]]) -> None:
    assert store.ever_rows() == {task for _, rows in datasets for task, _ in rows}
    for before in range(1, 8):
        poison = {
            task
            for scope, rows in datasets
            if (number := number_of(scope)) is not None and number < before
            for task, why in rows
            if why == "poison"
        }
        assert store.ever_poison(before=before) == poison


@SAME_STORE
@given(DATASETS)
def test_training_rows_agree_with_all_datasets(
    store: SqlStore, place: Place, datasets: list[tuple[str, list[tuple[str, str]]]]
) -> None:
    emptied(store, place)
    for scope, rows in datasets:
        store.commit_stage(scope, "dataset", dataset(rows), 0.5, "e")
    check_what_was_taught(store, datasets)
    last = {scope: tuple(task for task, _ in rows) for scope, rows in datasets}
    asked = ["pass-0001", "pass-0003", "nothing"]
    assert store.trained_rows(asked) == {scope: last[scope] for scope in asked if scope in last}


def test_an_upgrade_gathers_earlier_training_rows(place: Place) -> None:
    datasets = [
        ("pass-0003", [("b/0", "poison"), ("b/1", "anchor")]),
        ("pass-0002", [("b/0", "poison")]),
        ("pass-0004", [("b/1", "poison")]),
        ("ablation", [("b/2", "poison")]),
    ]
    if isinstance(place, Path):
        place.parent.mkdir()
    make_at(place, "0003")
    for number, (scope, rows) in enumerate((*datasets, ("pass-0009", None)), start=1):
        output = json.dumps({"rows": 3} if rows is None else dataset(rows)).replace(":", r"\:")
        run_sql(place, f"INSERT INTO stage VALUES ({number}, '{scope}', 'dataset', 1, '{output}', NULL, 0.5, 'now')")
    store = SqlStore(place)
    check_what_was_taught(store, datasets)
    store.close()


class Counted(StageResult):
    """A stage of a name that the passes of this test have."""

    stage = "train"


def test_stages_asked_for_by_name_are_the_newest_of_other_passes(store: SqlStore) -> None:
    for number in range(1, 6):
        store.record_failure(pass_scope(number), "train", "out of memory", 1.0)
        store.commit_stage(pass_scope(number), "train", {"n": number}, number, "e")
    store.commit_stage("pass-0004", "train", {"n": "again"}, 9.0, "e")
    store.commit_stage("base", "train", {"n": "no pass"}, 9.0, "e")
    assert [s.output["n"] for s in store.last_outputs("train", 3, but="pass-0005")] == ["again", 3]
    assert [s.output["n"] for s in store.last_outputs("train", 9, but="pass-0002")] == ["again", 5, 3, 1]
    assert [scope for scope, _ in store.each_result(Counted)][-2:] == ["pass-0004", "base"]


def test_packs_are_found_by_what_is_asked_of_them(store: SqlStore) -> None:
    base = Manifest(files={"a": PackedFile(sha256="a", bytes=1)}, lineage=Lineage())
    made = Manifest(files={"b": PackedFile(sha256="b", bytes=1)}, lineage=Lineage(parent=base.digest))
    store.commit_stage("base", "import", {}, 0.5, "e", pack=(base, None))
    store.commit_stage("pass-0001", "merge", {}, 0.5, "e", pack=(made, 1))
    assert store.origin_of(made.digest) == (base.digest, 1)
    assert store.origin_of(base.digest) == store.origin_of("nothing") == (None, None)
    assert store.find_pack(made.digest[:9]) == made.digest


def test_looks_are_counted(store: SqlStore) -> None:
    for look in (1, 2):
        assert store.looks_paid() == look - 1
        store.pay_look(look, Alpha(look=look, spent=0.01, left=0.04))
    assert store.looks_paid() == len(store.looks()) == 2


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM pass WHERE state IN ('PROPOSED', 'PLANNED')", "ix_pass_state"),
        (f"SELECT * FROM pass WHERE {CLIMB['sqlite']} > 0 ORDER BY {CLIMB['sqlite']} DESC", "ix_pass_climbed"),
        ("SELECT state, count(*) FROM pass GROUP BY state", "ix_pass_state"),
        ("SELECT * FROM anchor_run WHERE task_id = 'b/0' ORDER BY id DESC LIMIT 9", "ix_anchor_run_newest"),
        ("SELECT * FROM stage WHERE name = 'train' ORDER BY id DESC LIMIT 9", "ix_stage_name"),
        ("SELECT sum(seconds) FROM stage", "ix_stage_seconds"),
    ],
)
def test_frequent_queries_use_an_index(path: Path, query: str, index: str) -> None:
    SqlStore(path, create=True).close()
    plan = " ".join(str(row[-1]) for row in run_sql(path, f"EXPLAIN QUERY PLAN {query}"))
    assert index in plan and "TEMP B-TREE FOR GROUP" not in plan
