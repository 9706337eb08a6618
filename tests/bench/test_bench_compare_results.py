from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from builders import make_result
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.bench.compare_results import (
    DRAWS,
    BenchComparison,
    Comparison,
    Flip,
    InfraTask,
    bench_of,
    compare_results,
)
from autosurgeon.bench.results import ResultRow
from autosurgeon.core.envelope import Poison
from autosurgeon.errors import UserError
from autosurgeon.stats.paired import p_difference, p_regression
from autosurgeon.stats.rates import pass_at_k, wilson

WORDS = {"p": "pass", "f": "fail", "i": "infra"}
FILES = st.dictionaries(
    st.builds("{}/{}".format, st.sampled_from(["x", "y"]), st.integers(0, 5)),
    st.text("pppfffi", min_size=1, max_size=6),
    min_size=1,
)


def rows(verdicts: Mapping[str, str], **changes: object) -> Iterable[ResultRow]:
    """A row a letter: p, f or i."""
    for task, letters in verdicts.items():
        for sample, letter in enumerate(letters):
            yield make_result(task, WORDS[letter], sample=sample, **changes)


def compared(a: Mapping[str, str], b: Mapping[str, str]) -> Comparison:
    return compare_results(rows(a), rows(b))


def test_what_was_lost_and_gained_is_named_with_the_cause_of_the_one_that_fails() -> None:
    before = [make_result("b/0"), make_result("b/1", "fail", cause=Poison.TIMEOUT), make_result("b/2")]
    after = [make_result("b/0", "fail", cause=Poison.DIED), make_result("b/1"), make_result("b/2")]
    found = compare_results(before, after)
    assert found.lost == (Flip(task_id="b/0", cause=Poison.DIED),)
    assert found.gained == (Flip(task_id="b/1", cause=Poison.TIMEOUT),)
    [bench] = found.benches
    assert (bench.bench, bench.tasks, bench.lost, bench.gained) == ("b", 3, 1, 1)
    assert (bench.p_loss, bench.p_difference) == (0.75, 1.0)


def test_each_bench_has_a_row_of_its_own_and_one_stands_for_all() -> None:
    found = compared(
        {"x/0": "p", "y/0": "p", "y/1": "f", "plain": "p"}, {"x/0": "f", "y/0": "p", "y/1": "p", "plain": "p"}
    )
    told = [(b.bench, b.tasks, b.a.passes, b.b.passes, b.lost, b.gained) for b in (*found.benches, found.total)]
    assert told == [("-", 1, 1, 1, 0, 0), ("x", 1, 1, 0, 1, 0), ("y", 2, 1, 2, 0, 1), ("all", 4, 3, 3, 1, 1)]
    assert found.total.a.rate == 0.75
    assert (found.total.a.low, found.total.a.high) == wilson(3, 4)


def test_a_bench_is_what_stands_before_the_first_slash() -> None:
    assert [bench_of(name) for name in ("HumanEval/3", "a/b/c", "abc301_a", "/3")] == ["HumanEval", "a", "-", ""]


def test_a_task_is_won_by_its_first_sample_and_the_others_count_in_pass_at_k() -> None:
    found = compared({"b/0": "pffff", "b/1": "fpppp"}, {"b/0": "fpppf", "b/1": "fffff"})
    assert [flip.task_id for flip in found.lost] == ["b/0"]
    assert found.gained == ()
    draws = {draws.k: (draws.a, draws.b) for draws in found.total.draws}
    assert draws == {
        1: ((0.2 + 0.8) / 2, pytest.approx(0.3)),
        5: (1.0, 0.5),
    }


def test_pass_at_k_is_left_open_where_a_task_has_fewer_samples_than_k() -> None:
    found = compared({"b/0": "p" * 10, "b/1": "f" * 9}, {"b/0": "f", "b/1": "p"})
    assert [(draws.k, draws.a, draws.b) for draws in found.total.draws] == [(1, 0.5, 0.5), (5, 0.5, None)]


def test_single_samples_have_no_pass_at_k() -> None:
    assert compared({"b/0": "p"}, {"b/0": "f"}).total.draws == ()


def test_tasks_of_one_file_are_named_and_not_compared() -> None:
    found = compared({"b/0": "p", "b/1": "p", "c/2": "f"}, {"b/0": "p", "b/9": "f"})
    assert (found.only_a, found.only_b) == (("b/1", "c/2"), ("b/9",))
    assert found.total.tasks == 1
    assert [bench.bench for bench in found.benches] == ["b"]


def test_a_task_with_an_infra_row_in_either_file_is_no_score_and_named() -> None:
    found = compared(
        {"b/0": "pp", "b/1": "pi", "b/2": "pp", "b/3": "ii"}, {"b/0": "pf", "b/1": "ff", "b/2": "if", "b/4": "pi"}
    )
    assert [(task.task_id, task.a, task.b) for task in found.infra] == [
        ("b/1", 1, 0),
        ("b/2", 0, 1),
        ("b/3", 2, 0),
        ("b/4", 0, 1),
    ]
    assert (found.a.infra_rows, found.b.infra_rows) == (3, 2)
    assert (found.total.tasks, found.lost, found.total.a.passes) == (1, (), 1)


def test_where_no_task_has_a_score_in_both_there_is_no_rate() -> None:
    found = compared({"b/0": "i"}, {"b/0": "p"})
    assert found.infra == (InfraTask(task_id="b/0", a=1, b=0),)
    assert (found.total.tasks, found.total.a.rate, found.total.p_loss, found.total.p_difference) == (0, None, 1, 1)
    assert (found.total.a.low, found.total.a.high) == (0, 1)


def test_rows_are_counted_by_tier_and_by_jail_and_tasks_that_were_graded_otherwise_too() -> None:
    before = [make_result("b/0"), make_result("b/1", tier="shared"), make_result("b/2", "infra")]
    after = [make_result("b/0", jail="plain"), make_result("b/1", jail="plain"), make_result("b/2", jail="plain")]
    found = compare_results(before, after)
    assert (found.a.tiers, found.a.jails, found.a.rows) == ({"shared": 1, "split": 1}, {"bwrap": 2}, 3)
    assert (found.b.tiers, found.b.jails, found.b.rows) == ({"split": 3}, {"plain": 3}, 3)
    assert (found.other_tier, found.other_jail) == (1, 2)


def test_empty_files_and_files_without_a_common_task_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"a result file is empty \(B\)"):
        compared({"b/0": "p"}, {})
    with pytest.raises(UserError, match=r"no task in common; got 'b/0' and 'c/0' \(old.jsonl and new.jsonl\)"):
        compare_results(rows({"b/0": "p"}), rows({"c/0": "p"}), ("old.jsonl", "new.jsonl"))


@given(FILES, FILES)
def test_every_task_of_either_file_is_compared_or_named_as_left_out(a: dict[str, str], b: dict[str, str]) -> None:
    if not a.keys() & b.keys():
        return
    found = compared(a, b)
    named = {*found.only_a, *found.only_b, *(task.task_id for task in found.infra)}
    scored = (a.keys() | b.keys()) - named
    assert found.total.tasks == len(scored) == sum(bench.tasks for bench in found.benches)
    assert not any("i" in a[task] + b[task] for task in scored)
    assert {flip.task_id for flip in found.lost} == {t for t in scored if a[t][0] == "p" and b[t][0] == "f"}
    assert {flip.task_id for flip in found.gained} == {t for t in scored if a[t][0] == "f" and b[t][0] == "p"}
    for bench in (*found.benches, found.total):
        assert bench.b.passes - bench.a.passes == bench.gained - bench.lost
        assert bench.p_loss == p_regression(bench.lost, bench.gained)
        assert bench.p_difference == p_difference(bench.lost, bench.gained)


@given(FILES, FILES)
def test_pass_at_k_is_the_mean_over_tasks(a: dict[str, str], b: dict[str, str]) -> None:
    scored = [task for task in a.keys() & b.keys() if "i" not in a[task] + b[task]]
    if not scored:
        return
    draws = {draws.k: draws.a for draws in compared(a, b).total.draws}
    for k in DRAWS:
        if draws and all(len(a[task]) >= k for task in scored):
            wanted = sum(pass_at_k(len(a[task]), a[task].count("p"), k) for task in scored) / len(scored)
            assert draws[k] == pytest.approx(wanted)
        else:
            assert draws.get(k) is None


@given(FILES, FILES)
def test_the_other_way_round_lost_is_gained(a: dict[str, str], b: dict[str, str]) -> None:
    if not a.keys() & b.keys():
        return
    forth, back = compared(a, b), compared(b, a)
    assert (forth.lost, forth.gained, forth.only_a) == (back.gained, back.lost, back.only_b)
    assert forth.total.p_difference == back.total.p_difference


@given(FILES)
def test_a_file_does_not_differ_from_itself(a: dict[str, str]) -> None:
    found = compared(a, a)

    def even(bench: BenchComparison) -> bool:
        return bench.a == bench.b and not bench.lost and not bench.gained and bench.p_loss == 1

    assert all(map(even, (*found.benches, found.total)))
    assert not found.only_a and not found.only_b and not found.other_jail
