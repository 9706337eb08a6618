"""The toy tasks that the attacks claim to solve, one for each way of checking an answer."""

from __future__ import annotations

from typing import Any

from autosurgeon.core.task import Case, Split, Task


def _task(name: str, **content: Any) -> Task:
    cases = tuple(Case(given=given, wanted=wanted) for given, wanted in content.pop("cases", ()))
    tests = content.pop("tests", "")
    filled: dict[str, Any] = {
        "task_id": f"attacks/{name}",
        "bench": "attacks",
        "kind": "function",
        "prompt": f"# {name}\n",
        "entry_point": name,
        "cases": cases,
        "tests": f"{tests}\ncheck(candidate)\n" if "def check(" in tests else tests,
        "cluster": f"attacks/{name}",
        "split": Split.DEV,
    }
    return Task.model_validate(filled | content)


SUM_OF_SQUARES = _task(
    "sum_of_squares",
    cases=[
        ("([1, 2, 3],)", "14"),
        ("([],)", "0"),
        ("([1],)", "1"),
        ("([-2, 5],)", "29"),
        ("([100000000000000000000],)", "10000000000000000000000000000000000000000"),
    ],
    reference="def sum_of_squares(numbers):\n    return sum(n * n for n in numbers)\n",
)
"""Literal cases, equal in value and type."""

GROUP_WORDS = _task(
    "group_words",
    cases=[
        ("(['a', 'bb', 'c'],)", "{1: [('a', 0), ('c', 2)], 2: [('bb', 1)]}"),
        ("([],)", "{}"),
        ("(['', 'schön', '名前'],)", "{0: [('', 0)], 5: [('schön', 1)], 2: [('名前', 2)]}"),
    ],
    reference=(
        "def group_words(words):\n"
        "    groups = {}\n"
        "    for place, word in enumerate(words):\n"
        "        groups.setdefault(len(word), []).append((word, place))\n"
        "    return groups\n"
    ),
)
"""Literal cases whose answers are containers of containers."""

TWO_SUM = _task(
    "two_sum",
    entry_point="Solution.two_sum",
    cases=[("([2, 7, 11, 15], 9)", "[0, 1]"), ("([3, 2, 4], 6)", "[1, 2]"), ("([3, 3], 6)", "[0, 1]")],
    reference=(
        "class Solution:\n"
        "    def two_sum(self, numbers, target):\n"
        "        seen = {}\n"
        "        for place, number in enumerate(numbers):\n"
        "            if target - number in seen:\n"
        "                return [seen[target - number], place]\n"
        "            seen[number] = place\n"
    ),
)
"""A method of a class."""

HALVES = _task(
    "halves",
    cases=[
        ("([1, 2, 3],)", "[0.5, 1.0, 1.5]"),
        ("([],)", "[]"),
        ("([0.1],)", "[0.05]"),
        ("([1e999, -1e999],)", "[1e999, -1e999]"),
    ],
    atol=1e-6,
    reference="def halves(numbers):\n    return [n / 2 for n in numbers]\n",
)
"""Literal cases within a tolerance, which an infinite answer has none of."""

ZERO_OF = _task(
    "zero_of",
    cases=[("([1, 2],)", "-0.5"), ("([-6, 11, -6, 1],)", "1.0")],
    atol=1e-4,
    accept="abs(sum(c * got ** power for power, c in enumerate(given[0]))) <= atol",
    reference=(
        "def zero_of(coefficients):\n"
        "    def value(x):\n"
        "        return sum(c * x ** power for power, c in enumerate(coefficients))\n"
        "    low, high = -10.0, 10.0\n"
        "    while high - low > 1e-12:\n"
        "        middle = (low + high) / 2\n"
        "        low, high = (low, middle) if value(low) * value(middle) <= 0 else (middle, high)\n"
        "    return low\n"
    ),
)
"""An oracle in place of a comparison: any zero will do."""

SQUARE_ROOT = _task(
    "square_root",
    support="import math\n",
    tests=(
        "def check(candidate):\n"
        "    for number in range(50):\n"
        "        assert abs(candidate(number) - math.sqrt(number)) < 1e-6\n"
        "    for number in (0.25, 1e-8, 2.0, 1e12):\n"
        "        assert abs(candidate(number) / math.sqrt(number) - 1) < 1e-6\n"
    ),
    reference="def square_root(x):\n    return x ** 0.5\n",
)
"""Tests that loop and allow a tolerance."""

SORT_IN_PLACE = _task(
    "sort_in_place",
    tests=(
        "def check(candidate):\n"
        "    numbers = [3, 1, 2]\n"
        "    assert candidate(numbers) is None\n"
        "    assert numbers == [1, 2, 3], numbers\n"
        "    rows = [['b', 2], ['a', 1]]\n"
        "    candidate(rows)\n"
        "    assert rows == [['a', 1], ['b', 2]], rows\n"
        "    nothing = []\n"
        "    candidate(nothing)\n"
        "    assert nothing == []\n"
    ),
    reference="def sort_in_place(items):\n    items.sort()\n",
)
"""Tests that look at what became of the argument."""

EVENS = _task(
    "evens",
    tests=(
        "def check(candidate):\n"
        "    numbers = [1, 2, 3, 4]\n"
        "    assert candidate(numbers) == [n for n in numbers if n % 2 == 0]\n"
        "    numbers = list(range(20))\n"
        "    assert candidate(numbers) == [n for n in numbers if n % 2 == 0]\n"
    ),
    reference="def evens(numbers):\n    return [n for n in numbers if n % 2 == 0]\n",
)
"""Tests that work the wanted answer out from an argument which the candidate has had in its hands."""

ODDS_KEPT = _task(
    "odds_kept",
    tests=(
        "def check(candidate):\n"
        "    for numbers in ([1, 2, 3, 4], [2], [], [7, 7]):\n"
        "        before = list(numbers)\n"
        "        assert candidate(numbers) == [n for n in before if n % 2]\n"
        "        assert numbers == before, 'the argument was changed'\n"
    ),
    reference="def odds_kept(numbers):\n    return [n for n in numbers if n % 2]\n",
)
"""Tests that want the argument left as it was."""

DIGIT_SUM = _task(
    "digit_sum",
    tests=(
        "def check(candidate):\n"
        "    assert candidate('1234') == 10\n"
        "    assert candidate('') == 0\n"
        "    for text in ('12a', '-5', ' '):\n"
        "        try:\n"
        "            candidate(text)\n"
        "        except Exception:\n"
        "            continue\n"
        "        raise RuntimeError('no error for ' + text)\n"
    ),
    reference=(
        "def digit_sum(text):\n"
        "    if any(c not in '0123456789' for c in text):\n"
        "        raise ValueError(text)\n"
        "    return sum(map(int, text))\n"
    ),
)
"""Tests that want an error, and take any."""

APPLY_TWICE = _task(
    "apply_twice",
    tests=(
        "def check(candidate):\n"
        "    for start in range(5):\n"
        "        assert candidate(lambda x: x + 3, start) == start + 6\n"
        "        assert candidate(lambda x: x * x, start) == start**4\n"
    ),
    reference="def apply_twice(function, value):\n    return function(function(value))\n",
)
"""Tests that hand over functions, which cannot cross between processes."""

SHIFT_BACK = _task(
    "shift_back",
    prelude=(
        "def shift(text):\n"
        '    """Each letter moved five places on."""\n'
        "    return ''.join(chr((ord(c) - 97 + 5) % 26 + 97) for c in text)\n\n\n"
    ),
    support=(
        "def shift(text):\n"
        '    """Each letter moved five places on."""\n'
        "    return ''.join(chr((ord(c) - 97 + 5) % 26 + 97) for c in text)\n"
    ),
    tests=(
        "def check(candidate):\n"
        "    import random\n"
        "    import string\n"
        "    letters = random.Random(7)\n"
        "    for size in range(20):\n"
        "        text = ''.join(letters.choice(string.ascii_lowercase) for _ in range(size))\n"
        "        assert candidate(shift(text)) == text\n"
    ),
    reference=("def shift_back(text):\n    return ''.join(chr((ord(c) - 97 - 5) % 26 + 97) for c in text)\n"),
)
"""Tests that use a helper of the prompt, which the candidate has too and may redefine for itself."""

COUNT_LETTERS = _task(
    "count_letters",
    tests=(
        "assert count_letters('aab') == {'a': 2, 'b': 1}\n"
        "assert count_letters('') == {}\n"
        "assert count_letters('zyx')['y'] == 1\n"
        "assert len(count_letters('abcabc')) == 3\n"
    ),
    reference=(
        "def count_letters(text):\n"
        "    counts = {}\n"
        "    for letter in text:\n"
        "        counts[letter] = counts.get(letter, 0) + 1\n"
        "    return counts\n"
    ),
)
"""Bare assertions that call the function by its name; any mapping that equals a dict will do."""

COUNTDOWN = _task(
    "countdown",
    tests=(
        "def check(candidate):\n"
        "    assert list(candidate(3)) == [3, 2, 1]\n"
        "    assert list(candidate(0)) == []\n"
        "    assert sum(candidate(100)) == 5050\n"
    ),
    reference="def countdown(n):\n    return list(range(n, 0, -1))\n",
)
"""Tests that iterate; any iterable will do."""

SPECIAL_VALUE = _task(
    "special_value",
    support="import math\n",
    tests=(
        "def check(candidate):\n"
        "    assert math.isnan(candidate('nan'))\n"
        "    assert candidate('inf') == math.inf and candidate('-inf') == -math.inf\n"
        "    assert candidate('-0.0') == 0 and math.copysign(1, candidate('-0.0')) == -1\n"
        "    assert candidate('huge') == 7 ** 5000\n"
        "    assert candidate('bytes') == b'\\x00\\xff' and type(candidate('bytes')) is bytes\n"
        "    assert candidate('complex') == complex(1, -2)\n"
        "    assert candidate('frozenset') == frozenset({1, (2, 'b')})\n"
        "    assert candidate('text') == 'naïve \\U0001f600 \\x00 line\\n'\n"
        "    assert candidate('none') is None and candidate('true') is True\n"
    ),
    reference=(
        "def special_value(name):\n"
        "    return {\n"
        "        'nan': float('nan'), 'inf': float('inf'), '-inf': float('-inf'), '-0.0': -0.0,\n"
        "        'huge': 7 ** 5000, 'bytes': b'\\x00\\xff', 'complex': complex(1, -2),\n"
        "        'frozenset': frozenset({1, (2, 'b')}), 'text': 'naïve \\U0001f600 \\x00 line\\n',\n"
        "        'none': None, 'true': True,\n"
        "    }[name]\n"
    ),
)
"""Values that a careless wire loses."""

ADD_LINES = _task(
    "add_lines",
    kind="stdin",
    entry_point=None,
    cases=[("3\n1\n2\n3\n", "6\n3\n"), ("1\n-5\n", "-5\n-5\n"), ("4\n10\n20\n30\n40\n", "100\n40\n")],
    reference=(
        "count = int(input())\n"
        "numbers = [int(input()) for _ in range(count)]\n"
        "print(sum(numbers))\n"
        "print(max(numbers))\n"
    ),
)
"""A program: the sum and the largest of the numbers on standard input."""

TASKS = {
    task.task_id.removeprefix("attacks/"): task
    for task in (
        SUM_OF_SQUARES,
        GROUP_WORDS,
        TWO_SUM,
        HALVES,
        ZERO_OF,
        SQUARE_ROOT,
        SORT_IN_PLACE,
        EVENS,
        ODDS_KEPT,
        DIGIT_SUM,
        APPLY_TWICE,
        SHIFT_BACK,
        COUNT_LETTERS,
        COUNTDOWN,
        SPECIAL_VALUE,
        ADD_LINES,
    )
}
