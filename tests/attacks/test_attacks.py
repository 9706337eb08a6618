"""No wrong program passes, no honest one fails, and nothing of an attack stays behind.

In CI the quick attacks are run alone at `bwrap` and `plain`, and in a crowd at `bwrap` and `landlock`; the rest is
`slow`.
A test that finds an attack accepted names it, with what the grader said.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autosurgeon.bench.grade import Grade, Grader
from autosurgeon.bench.jail import levels_here
from autosurgeon.core.envelope import Poison
from autosurgeon.core.task import Task
from autosurgeon.sections import GradingSettings

from . import containment
from .corpus import ATTACKS, HERE, HONEST, Program
from .tasks import SUM_OF_SQUARES, TASKS

LEVELS = ("bwrap", "landlock", "plain")
ALONE = GradingSettings(workers=1, cpu_s=2, wall_s=4, memory_mib=256)
"""What is quick meets none of these limits on a machine that is slow and busy; what is slow meets them for sure."""
RIGHT = "def sum_of_squares(numbers):\n    return sum(n * n for n in numbers)\n"
PROBE = """
import os
PID, FOLDER = {pid}, {folder!r}


def sum_of_squares(numbers):
    try:
        os.kill(PID, 0)
    except OSError:
        try:
            os.listdir(FOLDER)
        except OSError:
            return -1
    return sum(n * n for n in numbers)
"""
"""Passes when it can signal this process, or see this folder: then no attack may be let loose at that level."""


@pytest.fixture(scope="module")
def guard() -> Iterator[containment.Guard]:
    """One run at a time on a machine: attacks have fixed names for what they leave."""
    with open(Path(tempfile.gettempdir()) / f"autosurgeon-corpus-{os.getuid()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with containment.adopting():
            guard = containment.Guard()
            guard.findings()
            yield guard
            guard.close()


@pytest.fixture(scope="module", params=LEVELS)
def grader(request: pytest.FixtureRequest, guard: containment.Guard) -> Iterator[Grader]:
    """A grader of one worker at each level, which has to be without children once it is closed."""
    level = request.param
    if level not in levels_here():
        pytest.skip(f"this machine has no {level}")
    with Grader(ALONE.model_copy(update={"jail": level})) as grader:
        if level != "plain":
            probe = PROBE.format(pid=os.getpid(), folder=str(HERE))
            assert alone(grader, SUM_OF_SQUARES, probe).verdict == "fail", "the jail is open: no attack is let loose"
        yield grader
    assert not containment.ended(containment.descendants()), "the grader left processes behind"


def alone(grader: Grader, task: Task, source: str) -> Grade:
    (grade,) = grader.stream([(task, source)])
    return grade


def blame(program: Program, grade: Grade, also: frozenset[Poison] = frozenset()) -> str:
    """What is wrong about a grade; empty when nothing is. What it says has to fit into a line of any log."""
    said = f"{program.name}: {grade.verdict} {grade.cause} in {grade.tier}: {grade.detail[:300]!a}"
    if len(grade.detail) > 1000 or any(char != "\n" and not char.isprintable() for char in grade.detail):
        return f"{said}: {len(grade.detail)} characters, not all of them fit to print"
    if grade.tier != program.tier:
        return said
    if program.honest:
        return "" if grade.verdict == "pass" else said
    if grade.verdict == "pass" and grade.tier == "shared":
        return ""
    return "" if grade.verdict == "fail" and grade.cause in program.causes | also else said


def skip_unless_it_may_run(program: Program, level: str) -> None:
    if level == "plain" and not program.plain:
        pytest.skip("without a sandbox it would hurt or escape")


def case(program: Program, *, slow: bool) -> object:
    return pytest.param(program, id=program.name, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("grader", ["bwrap", pytest.param("landlock", marks=pytest.mark.slow), "plain"], indirect=True)
@pytest.mark.parametrize("program", [case(program, slow=program.slow) for program in ATTACKS])
def test_an_attack_fails_and_leaves_nothing_behind(program: Program, grader: Grader, guard: containment.Guard) -> None:
    skip_unless_it_may_run(program, grader.level)
    runs = [(program.task, program.source)] + [program.twin(number) for number in range(2 if program.again else 0)]
    *grades, after = grader.stream([*runs, (SUM_OF_SQUARES, f"{RIGHT}# after {program.name}\n")])
    wrong = [blamed for grade in grades if (blamed := blame(program, grade))]
    left = guard.findings()
    assert not wrong, "\n".join(wrong)
    assert left == [] or grader.level == "plain"
    assert {grade.jail for grade in grades} == {grader.level}
    assert after.verdict == "pass", f"an honest program after it: {after}"


@pytest.mark.parametrize("program", [case(program, slow=False) for program in HONEST])
def test_an_honest_program_passes(program: Program, grader: Grader) -> None:
    assert blame(program, alone(grader, program.task, program.source)) == ""


def named(name: str) -> Program:
    (program,) = [program for program in (*ATTACKS, *HONEST) if program.name == name]
    return program


def crowd(attacks: list[Program], copies: int) -> list[tuple[Program, tuple[Task, str]]]:
    """Attacks among several copies of every honest program, in an order that is always the same."""
    members = [(program, program.twin(0)) for program in attacks]
    members += [(program, program.twin(number)) for program in HONEST for number in range(copies)]
    random.Random(20).shuffle(members)
    return members


def check_a_crowd(
    level: str,
    guard: containment.Guard,
    members: list[tuple[Program, tuple[Task, str]]],
    packages: tuple[str, ...] = (),
) -> None:
    if level not in levels_here():
        pytest.skip(f"this machine has no {level}")
    workers = 2 * (os.cpu_count() or 1)
    # The grader of the tests before may still be open.
    others = {process.pid for process in containment.descendants()}
    settings = GradingSettings(jail=level, workers=workers, cpu_s=2, wall_s=12, memory_mib=256, packages=packages)
    with Grader(settings) as grader:
        grades = list(grader.stream(pair for _, pair in members))
    # On a busy machine the same work takes more time, so there an attack may meet its limit first.
    late = frozenset({Poison.TIMEOUT})
    wrong = [
        blamed for (program, _), grade in zip(members, grades, strict=True) if (blamed := blame(program, grade, late))
    ]
    left = guard.findings()
    assert not wrong, "\n".join(wrong)
    assert left == []
    left_alive = [process for process in containment.descendants() if process.pid not in others]
    assert not containment.ended(left_alive), "the grader left processes behind"


@pytest.mark.parametrize("level", ["bwrap", "landlock"])
def test_quick_attacks_in_a_crowd_of_honest_programs_change_no_grade(level: str, guard: containment.Guard) -> None:
    check_a_crowd(level, guard, crowd([program for program in ATTACKS if not program.slow], copies=2))


@pytest.mark.slow
@pytest.mark.parametrize("packages", [(), ("numpy",)])
@pytest.mark.parametrize("level", ["bwrap", "landlock"])
def test_all_attacks_in_a_crowd_of_honest_programs_change_no_grade(
    level: str, packages: tuple[str, ...], guard: containment.Guard
) -> None:
    check_a_crowd(level, guard, crowd(list(ATTACKS), copies=5), packages)


@pytest.mark.parametrize("level", ["bwrap", "landlock"])
def test_a_hog_of_threads_takes_none_from_its_neighbours(level: str, guard: containment.Guard) -> None:
    if level not in levels_here():
        pytest.skip(f"this machine has no {level}")
    hog, honest = named("it_holds_as_many_threads_as_it_gets"), named("sum_of_squares_in_a_thread_with_a_large_stack")
    with Grader(ALONE.model_copy(update={"jail": level, "workers": 2})) as grader:
        (held, *grades) = grader.stream([hog.twin(0), *(honest.twin(number) for number in range(20))])
    left = guard.findings()
    assert blame(hog, held) == ""
    assert not [blamed for grade in grades if (blamed := blame(honest, grade))]
    assert left == []


@pytest.mark.parametrize(
    ("source", "causes"),
    [
        ("def sum_of_squares(numbers):\n    return '\ud800'\n", {Poison.SYNTAX, Poison.ERROR, Poison.WRONG}),
        ("# \udcff\ndef sum_of_squares(numbers):\n    return -1\n", {Poison.SYNTAX, Poison.ERROR, Poison.WRONG}),
        ("def sum_of_squares(numbers):\n    return -1\n\0", {Poison.SYNTAX, Poison.ERROR}),
        ("\ufeffdef sum_of_squares(numbers):\n    return -1\n", {Poison.SYNTAX, Poison.WRONG}),
        ("def sum_of_squares(numbers):\r    return -1\r", {Poison.SYNTAX, Poison.WRONG}),
        ("", {Poison.MISSING}),
        ("\n# nothing but a remark", {Poison.MISSING}),
        ("x = 1\n" * 200_000, {Poison.MISSING, Poison.TIMEOUT, Poison.MEMORY}),
        ("x = '" + "y" * (4 << 20) + "'\n", {Poison.MISSING}),
        ("if 1:\n" + "".join(" " * depth + "if 1:\n" for depth in range(1, 500)), {Poison.SYNTAX}),
    ],
    ids=["surrogate", "surrogate-remark", "nul", "mark", "returns", "empty", "remark", "lines", "long", "indents"],
)
def test_a_source_that_no_file_of_the_corpus_can_hold_fails(source: str, causes: set[Poison], grader: Grader) -> None:
    grade = alone(grader, SUM_OF_SQUARES, source)
    assert grade.verdict == "fail"
    assert grade.cause in causes, grade.detail


GRADING_A_SLEEPER = """
import sys
from attacks.corpus import ATTACKS
from autosurgeon.bench.grade import Grader
from autosurgeon.sections import GradingSettings

(program,) = [program for program in ATTACKS if program.name == "it_stays_when_its_server_goes"]
list(Grader(GradingSettings(jail=sys.argv[1], workers=1, wall_s=60)).stream([(program.task, program.source)]))
"""


@pytest.mark.parametrize("level", ["bwrap", "landlock"])
def test_a_grader_that_is_killed_takes_its_candidates_along(level: str, guard: containment.Guard) -> None:
    if level not in levels_here():
        pytest.skip(f"this machine has no {level}")
    command = [sys.executable, "-c", GRADING_A_SLEEPER, level]
    with subprocess.Popen(command, cwd=HERE.parent, start_new_session=True) as process:
        deadline = time.monotonic() + 20
        while not containment.survivors() and time.monotonic() < deadline:
            time.sleep(0.05)
        asleep = containment.survivors()
        process.send_signal(signal.SIGKILL)
    assert asleep, "the candidate never ran"
    assert guard.findings() == []


def test_the_corpus_is_large_and_every_file_says_what_it_is() -> None:
    assert len(ATTACKS) >= 60
    assert not [program.name for program in ATTACKS if program.honest]
    assert not [program.name for program in HONEST if not program.honest]
    assert not [program.name for program in (*ATTACKS, *HONEST) if len(program.about) < 10 or "_" not in program.name]


def test_every_toy_task_is_attacked_and_answered_and_its_reference_passes(grader: Grader) -> None:
    for programs in (ATTACKS, HONEST):
        assert {program.task.task_id for program in programs} == {task.task_id for task in TASKS.values()}
    assert {name: grader.reference(task).verdict for name, task in TASKS.items()} == dict.fromkeys(TASKS, "pass")
