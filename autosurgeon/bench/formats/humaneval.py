"""HumanEval: the prompt is the head of a function, the tests are a function `check(candidate)`."""

from __future__ import annotations

from autosurgeon.bench.formats.json_rows import Row, shown
from autosurgeon.bench.formats.syntax import functions_of, parse
from autosurgeon.bench.formats.to_task import make_task
from autosurgeon.core.task import Task


def read_humaneval(row: Row, bench: str) -> Task:
    """The task of a row with task_id, prompt, entry_point, canonical_solution and test; further fields are ignored."""
    prompt, solution, entry_point = head_of(row)
    test = row.text("test")
    module = parse(test)
    if module is None or "check" not in functions_of(module):
        raise row.misfit("test", shown(test), "Python that defines check(candidate)")
    return make_task(
        row,
        task_id=row.text("task_id"),
        bench=bench,
        kind="function",
        prompt=prompt,
        prelude=prompt,
        entry_point=entry_point,
        tests=f"{test}\ncheck(candidate)\n",
        # What a prompt defines beside the function, and the function itself where a test compares with it (33), come
        # from the reference: a candidate must not be measured against itself.
        support=prompt + solution,
        reference=solution,
    )


def head_of(row: Row) -> tuple[str, str, str]:
    """The prompt, the reference that continues it and the name of the function that the two define."""
    prompt, solution, entry_point = row.text("prompt"), row.text("canonical_solution"), row.text("entry_point")
    module = parse(prompt + solution)
    if module is None:
        raise row.misfit("canonical_solution", shown(solution), "Python that continues the prompt")
    if entry_point not in functions_of(module):
        raise row.misfit("entry_point", shown(entry_point), "a function that prompt and canonical_solution define")
    return prompt, solution, entry_point
