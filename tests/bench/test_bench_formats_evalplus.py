from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from benchfiles import read_row, refused_row

from autosurgeon.bench.formats.evalplus import HUMANEVAL_ORACLES, MBPP_ORACLES
from autosurgeon.core.task import Task

HUMANEVAL: dict[str, Any] = {
    "task_id": "HumanEval/901",
    "prompt": 'import math\n\n\ndef root(n: float) -> float:\n    """The square root."""\n',
    "entry_point": "root",
    "canonical_solution": "    return math.sqrt(n)\n",
    "contract": "\n    assert type(n) in [int, float] # $_CONTRACT_$\n    if n != n:\n        assert False\n",
    "base_input": [[4.0], [9]],
    "plus_input": [[1e308], [float("inf")], [2]],
    "atol": 1e-6,
}
MBPP: dict[str, Any] = {
    "task_id": "Mbpp/9001",
    "prompt": '"""\nWrite a function to add.\nassert add(1, 2) == 3\n"""\n',
    "entry_point": "add",
    "canonical_solution": "\ndef add(a, b):\n  return a + b\n",
    "contract": "\n  assert isinstance(a, int), 'invalid inputs' # $_CONTRACT_$\n",
    "assertion": "assert add(1, 2) == 3",
    "base_input": [[1, 2]],
    "plus_input": [[0, 0]],
    "atol": 0,
}


def given_of(task: Task) -> list[Any]:
    return [ast.literal_eval(case.given) for case in task.cases]


def test_a_humaneval_plus_row_becomes_cases_whose_answers_are_the_references(tmp_path: Path) -> None:
    task = read_row(tmp_path, "humaneval+", HUMANEVAL)
    assert given_of(task) == [(4.0,), (9,), (1e308,), (float("inf"),), (2,)]
    assert type(given_of(task)[1][0]) is int
    assert {case.wanted for case in task.cases} == {None}
    assert (task.base_cases, task.atol, task.accept, task.tests) == (2, 1e-6, "", "")
    assert task.prelude == task.prompt == HUMANEVAL["prompt"]
    assert (task.bench, task.reference) == ("humaneval+", HUMANEVAL["canonical_solution"])
    for n in (4, 9.0):
        exec(task.contract, {"n": n})
    with pytest.raises(AssertionError):
        exec(task.contract, {"n": "four"})


def test_an_empty_table_of_further_inputs_stands_for_none(tmp_path: Path) -> None:
    task = read_row(tmp_path, "mbpp+", MBPP | {"plus_input": {}})
    assert given_of(task) == [(1, 2)]
    assert "plus_input" in refused_row(tmp_path, "mbpp+", MBPP | {"plus_input": {"a": 1}})


def test_an_mbpp_plus_row_has_a_whole_reference_and_no_prelude(tmp_path: Path) -> None:
    task = read_row(tmp_path, "mbpp+", MBPP)
    assert given_of(task) == [(1, 2), (0, 0)]
    assert (task.task_id, task.bench, task.prelude, task.base_cases, task.atol) == ("Mbpp/9001", "mbpp+", "", 1, 0)
    assert task.prompt == MBPP["prompt"]
    assert task.reference == MBPP["canonical_solution"]
    assert read_row(tmp_path, "mbpp+", MBPP | {"task_id": 9001}) == task


@pytest.mark.parametrize(
    ("number", "published", "restored"),
    [
        (2, [[1, 2], [2]], ((1, 2), (2,))),
        (63, [[[1, 2], [3, 4]]], ([(1, 2), (3, 4)],)),
        (75, [[[1, 2]], 5], ([(1, 2)], 5)),
        (106, [[1, 2], [3]], ([1, 2], (3,))),
        (115, [[[1, 2], [], {}]], ([{1, 2}, {}, {}],)),
        (124, ["1", "2+3j"], (1.0, 2 + 3j)),
        (252, ["1-2j"], (1 - 2j,)),
        (250, [[1, 2], 3], ((1, 2), 3)),
        (259, [[[1, 2]], [[3, 4]]], (((1, 2),), ((3, 4),))),
        (278, [[1, [2, 3], "x"]], ((1, (2, 3), "x"),)),
        (307, [["a", 5, [], True], 2, 50], (("a", 5, [], True), 2, 50)),
        (722, [{"a": [1.5, 2]}, 6.0, 70], ({"a": (1.5, 2)}, 6.0, 70)),
        (580, [[1, [2, [3]]]], ((1, (2, (3,))),)),
        (3, [[1, [2]], "x", None], ([1, [2]], "x", None)),
    ],
)
def test_types_that_json_has_not_are_given_back(
    tmp_path: Path, number: int, published: list[Any], restored: tuple[Any, ...]
) -> None:
    task = read_row(
        tmp_path, "mbpp+", MBPP | {"task_id": f"Mbpp/{number}", "plus_input": [], "base_input": [published]}
    )
    [given] = given_of(task)
    assert given == restored
    assert repr(given) == repr(restored)


@pytest.mark.parametrize(
    ("number", "published"), [(2, [5]), (124, ["1"]), (252, ["x"]), (722, [[1]]), (115, [[[[1]]]])]
)
def test_inputs_of_another_shape_than_their_task_takes_are_refused(
    tmp_path: Path, number: int, published: list[Any]
) -> None:
    row = MBPP | {"task_id": f"Mbpp/{number}", "base_input": [], "plus_input": [published]}
    assert f"plus_input.0; got {published!r}; wanted arguments as Mbpp/{number}" in refused_row(tmp_path, "mbpp+", row)


def accepted(task: Task, given: tuple[Any, ...], wanted: object, got: object) -> bool:
    scope: dict[str, Any] = {}
    exec(task.support, scope)
    return bool(eval(task.accept, scope, {"given": given, "wanted": wanted, "got": got, "atol": task.atol}))


@pytest.mark.parametrize(
    ("name", "given", "wanted", "right", "wrong"),
    [
        ("similar_elements", ((1, 2), (2, 3)), (2, 3), [(3, 2), [2, 3, 3]], [(2,)]),
        ("check_str", ("a",), True, [True, "a match", 5], [False, None]),
        ("check_str", ("a",), object(), [True, "a match"], [False, None]),
        ("text_match_three", ("a",), None, [None, False], [True, "a match"]),
        ("are_equivalent", (1, 2), False, [True, False], []),
        ("sum_div", (7,), 1, [1, 0], [8]),
        ("digit_distance_nums", (123, 4), 102, [102, 4], [5]),
        ("surface_Area", (3, 4), 33, [33, 35], [34]),
    ],
)
def test_where_more_than_one_answer_is_right_each_of_them_is_accepted(
    tmp_path: Path, name: str, given: tuple[Any, ...], wanted: object, right: list[Any], wrong: list[Any]
) -> None:
    row = MBPP | {"entry_point": name, "canonical_solution": f"def {name}(*given):\n  return 0\n"}
    task = read_row(tmp_path, "mbpp+", row)
    assert all(accepted(task, given, wanted, got) for got in right)
    assert not any(accepted(task, given, wanted, got) for got in wrong)


def test_any_root_of_a_polynomial_is_accepted(tmp_path: Path) -> None:
    row = HUMANEVAL | {
        "prompt": "def poly(xs, x):\n    return sum(c * x**i for i, c in enumerate(xs))\n\n\ndef find_zero(xs):\n",
        "entry_point": "find_zero",
        "canonical_solution": "    return 1.0\n",
        "atol": 1e-4,
    }
    task = read_row(tmp_path, "humaneval+", row)
    assert accepted(task, ([-1, 0, 1],), 1.0, -1.00001)
    assert not accepted(task, ([-1, 0, 1],), 1.0, 0.9)


def test_every_special_oracle_is_one_expression_over_what_it_may_use() -> None:
    for oracle in (*HUMANEVAL_ORACLES.values(), *MBPP_ORACLES.values()):
        names = {node.id for node in ast.walk(ast.parse(oracle.accept, mode="eval")) if isinstance(node, ast.Name)}
        helpers = set(re.findall(r"^def (\w+)", oracle.support, re.MULTILINE))
        assert names <= {"given", "wanted", "got", "atol", "set", "isinstance", "bool", "abs", "poly"} | helpers


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("task_id", 5, "task_id"),
        ("entry_point", "cube", "entry_point"),
        ("canonical_solution", "  return (", "canonical_solution"),
        ("contract", None, "contract"),
        ("contract", "assert (", "contract"),
        ("base_input", {}, "base_input"),
        ("base_input", [5], "base_input.0"),
        ("plus_input", [[1], [[float("nan")]]], "plus_input.1; got NaN"),
        ("atol", "0", "atol"),
        ("atol", True, "atol"),
        ("atol", float("nan"), "atol"),
    ],
)
def test_a_field_that_does_not_fit_is_named(tmp_path: Path, field: str, value: object, named: str) -> None:
    assert f"does not fit: {named};" in refused_row(tmp_path, "humaneval+", HUMANEVAL | {field: value})


def test_an_mbpp_plus_reference_must_define_the_entry_point(tmp_path: Path) -> None:
    assert "entry_point" in refused_row(tmp_path, "mbpp+", MBPP | {"entry_point": "sub"})
    assert "canonical_solution" in refused_row(tmp_path, "mbpp+", MBPP | {"canonical_solution": "def"})


def test_a_row_without_any_input_is_refused(tmp_path: Path) -> None:
    row = MBPP | {"base_input": [], "plus_input": []}
    assert "no cases and no tests" in refused_row(tmp_path, "mbpp+", row)


def test_a_contract_that_does_not_line_up_is_kept_as_a_block(tmp_path: Path) -> None:
    contract = "\n    assert all(\n  n == n for _ in [1])\n    assert n > 0\n"
    task = read_row(tmp_path, "humaneval+", HUMANEVAL | {"contract": contract})
    exec(task.contract, {"n": 1})
    with pytest.raises(AssertionError):
        exec(task.contract, {"n": 0})


def test_text_that_is_no_utf_8_is_carried_inside_a_literal(tmp_path: Path) -> None:
    task = read_row(tmp_path, "mbpp+", MBPP | {"plus_input": [["\ud800", 10**300]]})
    assert given_of(task)[-1] == ("\ud800", 10**300)
    assert task.cases[-1].given.isascii()
