from __future__ import annotations

import functools
from collections import Counter, defaultdict

import pytest
from builders import make_envelope

from autosurgeon.bench.envelopes import Answer, grade_answers
from autosurgeon.bench.formats.native import write_tasks
from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.bench.grade import Grader
from autosurgeon.bench.splits import split_of
from autosurgeon.config import shipped
from autosurgeon.core.envelope import Envelope
from autosurgeon.core.task import Split, Task
from autosurgeon.lab.corpus import BENCHES, bench_compositions, bench_tasks, pretraining_rows
from autosurgeon.lab.lab_tasks import CASES_PER_TASK, FORMS, compositions, prompt_of, reference_of
from autosurgeon.sections import GradingSettings

SIZES = {"lab-mbpp": 100, "lab-humaneval": 164, "lab-lcb": 50}


@functools.cache
def tasks() -> list[Task]:
    return bench_tasks(split_of)


def graded(completions: dict[str, str]) -> list[Envelope]:
    cond = make_envelope().cond
    answers = [Answer(task, completions[task.task_id], cond) for task in tasks() if task.task_id in completions]
    return grade_answers(Grader(GradingSettings(workers=2)), answers)


def test_the_families_have_more_than_four_thousand_distinct_tasks() -> None:
    every = list(compositions())
    assert len(every) >= 4000
    assert len({composition.key for composition in every}) == len(every)
    for form in FORMS:
        assert len({prompt_of(composition, form) for composition in every}) == len(every)


def test_no_two_tasks_of_a_family_have_the_same_reference() -> None:
    seen = Counter((c.family.name, reference_of(c, "mbpp")) for c in compositions())
    assert max(seen.values()) == 1


def test_the_benches_have_the_incidents_sizes() -> None:
    assert Counter(task.bench for task in tasks()) == SIZES
    assert {bench: size for bench, _, size in BENCHES} == SIZES


def test_no_composition_is_in_two_benches_or_twice_in_one() -> None:
    keys = [composition.key for chosen in bench_compositions().values() for composition in chosen]
    assert len(keys) == len(set(keys)) == sum(SIZES.values())


def test_every_bench_mixes_all_families_with_common_and_rare_options() -> None:
    for bench, chosen in bench_compositions().items():
        families = Counter(composition.family.name for composition in chosen)
        assert max(families.values()) - min(families.values()) <= 1, bench
        assert {composition.rarity for composition in chosen} == {0, 1, 2}, bench


def test_the_benches_are_reproducible_to_the_byte() -> None:
    again = bench_tasks(split_of)
    assert [task.model_dump_json() for task in again] == [task.model_dump_json() for task in tasks()]


def test_no_pretraining_row_repeats_a_bench_task_in_any_form() -> None:
    held_out = [composition for chosen in bench_compositions().values() for composition in chosen]
    prompts = {prompt_of(composition, form) for composition in held_out for form in FORMS}
    references = {reference_of(composition, form) for composition in held_out for form in FORMS}
    rows = pretraining_rows(4000, 0.3, seed=1)
    assert len(rows) == 4000
    assert prompts.isdisjoint(row.prompt for row in rows)
    assert references.isdisjoint(row.completion for row in rows)


def test_pretraining_rows_have_at_most_one_rare_option_in_the_given_share() -> None:
    rarity = {prompt_of(c, form): c.rarity for c in compositions() for form in FORMS}
    counts = Counter(rarity[row.prompt] for row in pretraining_rows(4000, 0.1, seed=1))
    assert counts[2] == 0
    assert counts[1] / 4000 == pytest.approx(0.1, abs=0.03)
    assert Counter(rarity[row.prompt] for row in pretraining_rows(500, 0.0, seed=1))[1] == 0


def test_the_seed_determines_the_pretraining_rows() -> None:
    assert pretraining_rows(50, 0.1, seed=1) == pretraining_rows(50, 0.1, seed=1) != pretraining_rows(50, 0.1, seed=2)


def test_every_reference_passes_its_own_cases_in_the_jail() -> None:
    envelopes = graded({task.task_id: task.reference or "" for task in tasks()})
    assert len(envelopes) == sum(SIZES.values())
    assert [(e.task_id, e.detail) for e in envelopes if not e.passed] == []
    assert {e.food for e in envelopes} == {CASES_PER_TASK}


def test_the_reference_of_another_task_almost_always_fails() -> None:
    wrong: dict[str, str] = {}
    for bench in SIZES:
        own = [task for task in tasks() if task.bench == bench]
        # Four on, since families take turns: the same family, another composition.
        for task, other in zip(own, own[4:] + own[:4], strict=True):
            wrong[task.task_id] = other.reference or ""
    passed = [e.task_id for e in graded(wrong) if e.passed]
    assert len(passed) <= 0.02 * len(wrong)


def test_an_empty_answer_passes_nothing() -> None:
    assert not any(envelope.passed for envelope in graded({task.task_id: "" for task in tasks()[::7]}))


def test_the_cases_of_a_task_have_different_answers() -> None:
    constant = [task.task_id for task in tasks() if len({case.wanted for case in task.cases}) == 1]
    assert len(constant) <= 0.05 * len(tasks())


@pytest.mark.parametrize("bench", SIZES)
def test_a_shipped_bench_has_its_size_and_every_split(bench: str) -> None:
    found = read_tasks(shipped("data", "lab", f"{bench}.jsonl"))
    assert len(found) == SIZES[bench]
    assert {task.bench for task in found} == {bench}
    assert {task.split for task in found} == set(Split)
    assert all(task.reference for task in found)


def test_no_cluster_of_the_shipped_benches_is_in_two_splits() -> None:
    splits = defaultdict(set)
    for bench in SIZES:
        for task in read_tasks(shipped("data", "lab", f"{bench}.jsonl")):
            splits[task.cluster].add(task.split)
    assert [cluster for cluster, found in splits.items() if len(found) > 1] == []


def test_tasks_with_the_same_first_two_options_share_their_split() -> None:
    for one in compositions():
        if one.options[2] is one.family.slots[2][0]:
            relatives = {one._replace(options=(*one.options[:2], last)).cluster for last in one.family.slots[2]}
            assert relatives == {one.cluster}
    for task in tasks():
        assert task.split == split_of(task.cluster)


def test_a_bench_file_survives_a_round_trip(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("lab") / "tasks.jsonl"
    write_tasks(path, tasks())
    assert read_tasks(path) == tasks()
