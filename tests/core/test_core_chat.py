"""Questions of a chat, and the code that is cut out of an answer."""

from __future__ import annotations

import pytest
from builders import make_task

from autosurgeon.core.chat import answer, block_name, blocks_of, code_of, end_block, question

HEAD = 'from typing import List\n\n\ndef solve(x):\n    """Return x."""\n'
BARE = "def solve(x):\n"
FUNCTION = make_task(prompt='"""\nReturn the number.\nassert solve(1) == 1\n"""\n')
CODE = "def solve(x):\n    return x\n"
PROGRAM = make_task(kind="stdin", entry_point=None, prompt="Print the number.\n", reference="print(input())\n")
EXAMPLE = "```\n1 2\n```\n"


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{CODE}```",
        f"Sure! Here it is:\n\n```python\n{CODE}```\n\nIt returns x.",
        f"```py\n{CODE}```\n",
        f"```Python3 title=solve.py\n{CODE}```\n",
        f"```{{.python}}\n{CODE}```\n",
        f"```\n{CODE}```\n",
        f"~~~python\n{CODE}~~~\n",
        f"````python\n{CODE}````\n",
        f"```python\r\n{CODE}```\r\n",
        f"The code: ```python\n{CODE}```",
        "1. First:\n   ```python\n   def solve(x):\n       return x\n   ```\n",
        f"```python\n{CODE}",
        f"```python\n{CODE.strip()}```",
        f"````python\n{CODE}```",
        f"```bash\npip install x\n```\n```python\n{CODE}```\n```python\nprint(solve(1))\n```\n",
        f"First a test:\n```python\nassert solve(1) == 1\n```\nThen:\n```python\n{CODE}```\nor\n"
        "```python\ndef solve(x): ...\n```",
        f"```json\n{{}}\n```\n```solution\n{CODE}```",
        CODE,
        f"The function is:\n\n{CODE}",
    ],
)
def test_the_block_that_defines_the_function_is_the_answer(text: str) -> None:
    assert code_of(FUNCTION, text).replace("\r", "").strip() == CODE.strip()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Example:\n```\n5\n```\nProgram:\n```python\nprint(5)\n```\n", "print(5)\n"),
        (f"{EXAMPLE}```\nprint(input())\n```\n", "print(input())\n"),
        ("```python\nprint(1)\n```\nor\n```python\nprint(2)\n```", "print(1)\n"),
        ("print(1)\n", "print(1)\n"),
        ("I cannot do this.", "I cannot do this."),
        ("```python\n```", ""),
        ("", ""),
    ],
)
def test_a_program_is_the_first_block_of_python_or_the_longest_without_a_tag(text: str, code: str) -> None:
    assert code_of(PROGRAM, text) == code


@pytest.mark.parametrize("head", [HEAD, BARE])
def test_a_function_stands_behind_its_head_whose_imports_stay(head: str) -> None:
    task = make_task(prompt=head, prelude=head)
    scope: dict[str, object] = {}
    exec(head + code_of(task, f"```python\n{CODE}```"), scope)
    assert scope["solve"](3) == 3  # type: ignore[operator]
    assert code_of(task, "```python\n    return x\n```") == "    return x\n"


@pytest.mark.parametrize(
    "text",
    [
        f"Here:\n```python\n{CODE}```\nThis works.\n```python\nprint(solve(2))\n```\n",
        f"```\n{CODE}```\nThis works.\n",
        "```python\nprint(1)\n```\nThis works.\n",
    ],
)
@pytest.mark.parametrize("task", [FUNCTION, PROGRAM])
def test_an_answer_that_ends_with_its_block_has_the_same_code(text: str, task: object) -> None:
    name = block_name(task)  # type: ignore[arg-type]
    whole = code_of(task, text)  # type: ignore[arg-type]
    ends = {end_block(text[:length], name) for length in range(len(text) + 1)}
    ended = end_block(text, name)
    assert code_of(task, ended) == whole  # type: ignore[arg-type]
    # However much of the answer has arrived, it ends at the same place.
    assert all(ended.startswith(found) for found in ends)


def test_blocks_are_the_same_whatever_follows_a_closed_one() -> None:
    text = f"a\n```python\n{CODE}```\n"
    for tail in ("", "b", "```\nx\n```\n", "~~~"):
        assert blocks_of(text + tail)[0] == blocks_of(text)[0]


def test_each_kind_of_task_has_its_question() -> None:
    head = make_task(prompt=HEAD, prelude=HEAD)
    asked = [question(task) for task in (head, FUNCTION, PROGRAM)]
    assert all("one code block" in text for text in asked)
    assert f"```python\n{HEAD}```" in asked[0]
    assert asked[1].endswith("Return the number.\nassert solve(1) == 1")
    assert "Name it `solve`." in asked[1]
    assert "standard input" in asked[2]
    assert asked[2].endswith("Print the number.")


def test_what_is_taught_is_an_answer_that_has_the_references_code() -> None:
    tasks = (make_task(prompt=HEAD, prelude=HEAD, reference="    return x\n"), FUNCTION, PROGRAM)
    for task in tasks:
        assert task.prelude + (task.reference or "") in code_of(task, answer(task))
