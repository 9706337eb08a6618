from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchfiles import write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autosurgeon.bench.formats.read import FORMATS, Format, read_bench
from autosurgeon.errors import UserError

FUNCTION = {"prompt": "def f(n):\n", "entry_point": "f", "canonical_solution": "    return n\n"}
INPUTS = {"contract": "", "base_input": [[1]], "plus_input": [[2]], "atol": 0}
ROWS: dict[Format, dict[str, Any]] = {
    "humaneval": {
        "task_id": "HumanEval/0",
        **FUNCTION,
        "test": "def check(candidate):\n    assert candidate(1) == 1\n",
    },
    "mbpp": {
        "task_id": 1,
        "text": "Return it.",
        "code": "def f(n): return n",
        "test_list": ["assert f(1) == 1"],
        "test_setup_code": "",
        "test_imports": [],
    },
    "humaneval+": {"task_id": "HumanEval/0", **FUNCTION, **INPUTS},
    "mbpp+": {
        "task_id": "Mbpp/2",
        **FUNCTION,
        **INPUTS,
        "canonical_solution": "def f(n): return n",
        "base_input": [[[1]]],
    }
    | {"plus_input": []},
    "livecodebench": {
        "question_id": "1",
        "question_content": "Return it.",
        "starter_code": "class Solution:\n    def f(self, n): ",
        "public_test_cases": [{"input": "1", "output": "1", "testtype": "functional"}],
        "private_test_cases": "[]",
        "metadata": '{"func_name": "f"}',
    },
    "native": {
        "task_id": "b/0",
        "kind": "function",
        "prompt": "",
        "entry_point": "f",
        "cases": [{"given": "(1,)", "wanted": "1"}],
    },
}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud800", "((((", "\0", "[", "-1", "eJw=", "def f(n): return (", 10**400, "\t\n  x = 1\n x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["given", "input", "output", "testtype", "func_name"]) | st.text(), inner)
    ),
    max_leaves=6,
)


def test_there_is_a_row_of_each_format_here_and_it_is_read(tmp_path: Path) -> None:
    assert tuple(ROWS) == FORMATS
    for format, row in ROWS.items():
        assert len(read_bench(write_rows(tmp_path, row), format)) == 1


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_a_field_the_row_is_read_or_refused(
    tmp_path: Path, format: Format, data: st.DataObject
) -> None:
    field = data.draw(st.sampled_from(sorted(ROWS[format])))
    old = ROWS[format][field]
    new = data.draw(ANYTHING | ANYTHING.map(json.dumps) | ANYTHING.map(lambda item: [item, old]))
    path = write_rows(tmp_path, ROWS[format] | {field: new})
    try:
        [task] = read_bench(path, format)
    except UserError as error:
        assert "bench.jsonl:1)" in str(error).encode().decode()
    else:
        task.model_dump_json()
