"""Packages in the jail: NumPy is read-only there, its arrays cross as plain numbers, and no cheat by it wins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import make_task

from autosurgeon.bench.check_references import check_tasks
from autosurgeon.bench.grade import Grader
from autosurgeon.bench.jail import levels_here
from autosurgeon.bench.packages import find_packages, missing_import
from autosurgeon.core.envelope import Poison
from autosurgeon.errors import UserError
from autosurgeon.sections import GradingSettings

TESTS = "import numpy as np\nassert np.array_equal(solve([1.0, 2.0]), [2.0, 4.0])\nassert solve(np.arange(3))[2] == 4\n"
TASK = make_task(cases=(), tests=TESTS, reference="def solve(x):\n    return [2 * item for item in x]\n")
DOUBLE = "    return 2 * np.asarray(x)\n"
# What a cheat tries, and why it may fail.
CHEATS = {
    "class Yes(np.ndarray):\n    def __eq__(self, other): return True\n"
    "def solve(x): return np.asarray(x).view(Yes)\n": {Poison.TYPE},
    "class Yes:\n    def __array__(self, *given, **named): return np.array([2.0, 4.0])\ndef solve(x): return Yes()\n": {
        Poison.TYPE
    },
    "def solve(x):\n    np.array_equal = np.testing.assert_equal = lambda *given: True\n    return np.zeros(3)\n": {
        Poison.WRONG
    },
    "def solve(x): return np.array([2.0, 4.0, 4.0], dtype=object)\n": {Poison.TYPE},
    "def solve(x): return np.zeros(10**11)\n": {Poison.MEMORY},
    "import ctypes\nlibc = ctypes.CDLL(None)\nbuffer = np.zeros(8)\n"
    "def solve(x):\n    libc.write(3, buffer.ctypes.data, 8)\n    return np.zeros(3)\n": {Poison.TYPE, Poison.WRONG},
}
ESCAPES = [
    "np.zeros(3).tofile('/packages/numpy/found')",
    "np.save('/tmp/found', np.zeros(3))",
    "open(np.__file__, 'a')",
    "np.fromfile('/etc/passwd', np.uint8)",
    'np.load(io.BytesIO(b"cos\\nfork\\n(tR."), allow_pickle=True)',
]


@pytest.fixture(scope="module", params=["bwrap", "landlock"])
def grader(request: pytest.FixtureRequest) -> Iterator[Grader]:
    if request.param not in levels_here():
        pytest.skip(f"this machine has no {request.param}")
    with Grader(GradingSettings(jail=request.param, workers=1, packages=("numpy",))) as grader:
        yield grader


def test_an_array_crosses_in_both_directions(grader: Grader) -> None:
    (grade,) = grader.stream([(TASK, f"import numpy as np\ndef solve(x):\n{DOUBLE}")])
    assert (grade.verdict, grade.tier) == ("pass", "split")


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_by_numpy_fails(cheat: str, grader: Grader) -> None:
    (grade,) = grader.stream([(TASK, f"import numpy as np\n{cheat}")])
    assert (grade.verdict, grade.cause in CHEATS[cheat]) == ("fail", True), grade


@pytest.mark.parametrize("escape", ESCAPES)
def test_what_a_jail_refuses_is_refused_to_numpy_too(escape: str, grader: Grader) -> None:
    text = f"import io\nimport numpy as np\ndef solve(x):\n    try:\n        {escape}\n        return x\n"
    text += f"    except Exception as error:\n        assert isinstance(error.__cause__ or error, OSError)\n{DOUBLE}"
    assert [grade.verdict for grade in grader.stream([(TASK, text)])] == ["pass"]


def test_numbers_of_numpy_cross_as_those_of_python_within_the_limits_of_memory(grader: Grader) -> None:
    wanted = "(1.5, 2, True, 1.0)"
    text = (
        "import numpy as np\ndef solve(x):\n    square = np.ones((300, 300))\n    one = (square @ square)[0, 0] / 300\n"
    )
    text += "    return np.float64(1.5), np.int64(2), np.bool_(True), one\n"
    task = make_task("b/numbers", cases=[("(1,)", wanted)])
    assert [grade.verdict for grade in grader.stream([(task, text)])] == ["pass"]


def test_no_package_is_in_a_jail_by_default_and_a_task_that_needs_one_has_no_score() -> None:
    with Grader(GradingSettings(workers=1)) as grader:
        (grade,) = grader.stream([(TASK, "def solve(x): return x\n")])
        (other,) = grader.stream([(make_task(), "import numpy\ndef solve(x): return x\n")])
        (checked,) = check_tasks(grader, [TASK])
    assert (grade.verdict, other.detail) == ("infra", "ModuleNotFoundError: No module named 'numpy'")
    assert (checked.state, checked.usable) == ("broken", False)
    assert checked.detail == "infra: its tests import numpy, which the jail lacks: add it to grading.packages"


@pytest.mark.parametrize(
    ("tests", "missing"),
    [
        ("import math\nfrom numpy.linalg import norm\n", "numpy"),
        ("try:\n    import numpy\nexcept ImportError:\n    pass\n", None),
        ("import os, re\nfrom collections import abc\n", None),
        ("import pandas\n", "pandas"),
    ],
)
def test_the_imports_of_tests_are_known_before_they_run(tests: str, missing: str | None) -> None:
    task = TASK.model_copy(update={"tests": tests})
    assert missing_import(task, ()) == missing
    assert missing_import(task, find_packages(("numpy",))) == (None if missing == "numpy" else missing)


def test_a_package_that_is_not_installed_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"not installed.*nmupy.*pip install nmupy"):
        Grader(GradingSettings(packages=("nmupy",)))
