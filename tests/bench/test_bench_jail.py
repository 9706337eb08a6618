"""Real programs in real jails, on every level that this machine has, most of them up to no good.

The corpus in tests/attacks lists attacks; these tests cover each promise of the jail.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from builders import make_task

from autosurgeon.bench import worker
from autosurgeon.bench.jail import LEVELS, levels_here
from autosurgeon.bench.worker import Cell, Limits
from autosurgeon.core.task import Task

LIMITS = Limits(cpu_s=20, wall_s=60, memory_bytes=512 << 20)
"""What no program here needs on any machine, so that only a fault meets it."""
BRIEF = Limits(cpu_s=0.5, wall_s=60, memory_bytes=512 << 20)
"""For a program that would take whatever it is given."""
ONE = [("(1,)", "1")]
TWO = [("(1,)", "1"), ("(2,)", "2")]


@pytest.fixture(scope="module", params=LEVELS)
def cell(request: pytest.FixtureRequest) -> Iterator[Cell]:
    """One cell for all of them: no candidate may hurt the next."""
    if request.param not in levels_here():
        pytest.skip(f"this machine has no {request.param}")
    cell = Cell(request.param)
    cell.level = request.param  # type: ignore[attr-defined]
    yield cell
    cell.close()


@pytest.fixture
def sandbox(cell: Any) -> Any:
    """The same, for what only a sandbox promises."""
    if cell.level == "plain":
        pytest.skip("the plain level is no sandbox")
    return cell


def ask(cell: Cell, task: Task, source: str, limits: Limits = LIMITS) -> worker.Testimony:
    return cell.examine(task.model_dump_json(), task, source, "split", limits)


def solved(
    cell: Cell, body: str, cases: list[tuple[str, str]], head: str = "", limits: Limits = LIMITS
) -> worker.Testimony:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return ask(cell, make_task(cases=cases), f"{head}def solve(x):\n{lines}", limits)


def printed(cell: Cell, source: str, *cases: tuple[str, str]) -> worker.Testimony:
    return ask(cell, make_task(kind="stdin", entry_point=None, cases=cases), source)


@pytest.fixture(autouse=True)
def next_candidate_is_fine(cell: Cell) -> Iterator[None]:
    """Whatever a candidate did, the one after it is judged as if it had never run."""
    yield
    assert solved(cell, "return x", TWO)[:3] == (None, "", 2)


def test_a_right_answer_passes_every_case(cell: Cell) -> None:
    assert solved(cell, "return x", TWO)[:3] == (None, "", 2)


def test_a_wrong_answer_counts_the_cases_before_it(cell: Cell) -> None:
    said = solved(cell, "return 1", TWO)
    assert (said.cause, said.held) == ("wrong", 1)
    assert "wanted 2, got 1" in said.detail


@pytest.mark.parametrize(
    ("body", "cause", "name"),
    [
        ("return 1 / 0", "error", "ZeroDivisionError"),
        ("raise SystemExit(0)", "error", "SystemExit"),
        ("import sys\nsys.exit()", "error", "SystemExit"),
        ("raise KeyboardInterrupt", "error", "KeyboardInterrupt"),
        ("raise StopIteration", "error", "StopIteration"),
        ("return solve(x)", "error", "RecursionError"),
        ("return len([0] * 10**10)", "memory", "MemoryError"),
        ("held = []\nwhile True: held.append(bytes(16 << 20))", "memory", "MemoryError"),
    ],
)
def test_a_program_that_raises_has_failed_with_its_error(cell: Cell, body: str, cause: str, name: str) -> None:
    said = solved(cell, body, ONE)
    assert (said.cause, said.held) == (cause, 0)
    assert name in said.detail


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("def solve(x:", "syntax"),
        ("\0", "syntax"),
        ("(" * 10_000, "syntax"),
        ("x = 1\n", "missing"),
        ("raise SystemExit", "error"),
        ("import torch", "error"),
        ("import os; os._exit(0)", "died"),
        ("while True: pass", "timeout"),
    ],
)
def test_a_program_that_does_not_even_load_has_failed(cell: Cell, source: str, cause: str) -> None:
    limits = BRIEF if cause == "timeout" else LIMITS
    assert ask(cell, make_task(), source, limits).cause == cause


def test_an_infinite_loop_ends_as_a_timeout(cell: Cell) -> None:
    said = solved(cell, "while x == 2: pass\nreturn x", TWO, limits=BRIEF)
    assert (said.cause, said.detail, said.held) == ("timeout", "cpu", 1)
    # The kernel's own limit, which stands in for a server that is gone, would have come at two seconds.
    assert 0.4 < said.cpu_s < 1.9


def test_a_loop_that_swallows_every_exception_and_signal_ends_all_the_same(cell: Cell) -> None:
    body = (
        "import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n    except OSError: pass\n"
    )
    body += "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    assert solved(cell, body, ONE, limits=BRIEF).cause == "timeout"


def test_sleeping_ends_as_a_timeout_though_it_burns_nothing(cell: Cell) -> None:
    task = make_task()
    said = ask(cell, task, "import time\ndef solve(x): time.sleep(600)", LIMITS._replace(wall_s=0.5))
    assert (said.cause, said.detail) == ("timeout", "wall")


@pytest.mark.parametrize("body", ["import os\nos._exit(0)", "import ctypes\nctypes.string_at(0)"])
def test_a_program_that_vanishes_has_died(cell: Cell, body: str) -> None:
    assert solved(cell, body, ONE).cause == "died"


def test_closing_every_descriptor_is_no_answer(cell: Cell) -> None:
    assert solved(cell, "import os\nos.closerange(0, 99)\nreturn x", ONE).cause == "died"


@pytest.mark.parametrize("body", ["return 'x' * (64 << 20)", "return bytes(64 << 20)", "return ['x' * 99] * 100_000"])
def test_a_huge_answer_is_too_much_output(cell: Cell, body: str) -> None:
    said = solved(cell, body, ONE)
    assert said.cause == "output"
    assert said.cpu_s < 1.5, "the size is checked before encoding"


@pytest.mark.parametrize(
    "line", ["print('x' * (1 << 20))", "print('x' * 999)", "try: print('x' * 999)\n    except OSError: break"]
)
def test_a_program_that_prints_without_end_is_stopped_at_the_first_byte_too_many(cell: Cell, line: str) -> None:
    said = printed(cell, f"while True:\n    {line}\n", ("", "x"))
    assert said.cause == "output"
    assert said.cpu_s < 0.5, "a few megabytes, which take no time"


def test_a_program_may_print_as_much_as_is_read_and_then_read_more_than_it_may_print(cell: Cell) -> None:
    large = ("y" * (5 << 20), "y" * (4 << 20))
    said = printed(cell, "print(input()[: 4 << 20], end='')", ("y", "y"), large)
    assert said[:3] == (None, "", 2)


def test_what_a_function_prints_is_not_its_answer(cell: Cell) -> None:
    body = "import os, sys\nprint('[2]')\nos.write(1, b'noise')\nprint('x', file=sys.stderr)\nreturn x"
    assert solved(cell, body, TWO).cause is None


def test_an_object_that_claims_to_equal_everything_has_no_type_to_cross(cell: Cell) -> None:
    head = "class Yes:\n    def __eq__(self, other): return True\n    def __hash__(self): return hash(1)\n"
    for answer, wanted in (("Yes()", "1"), ("[Yes()]", "[1]"), ("{1: Yes()}", "{1: 1}"), ("{Yes()}", "{1}")):
        assert solved(cell, f"return {answer}", [("(1,)", wanted)], head).cause == "type"


@pytest.mark.parametrize("answer", ["True", "1.0", "'1'", "[1]", "None", "b'1'", "1j", "10**6000", "chr(0xd800)"])
def test_an_answer_of_another_type_or_value_is_wrong_and_nothing_worse(cell: Cell, answer: str) -> None:
    said = solved(cell, f"return {answer}", ONE)
    assert said.cause == "wrong"
    said.detail.encode()


def test_an_error_that_is_hard_to_tell_is_an_error_and_nothing_worse(cell: Cell) -> None:
    solved(cell, "raise ValueError(chr(0xd800))", ONE).detail.encode()
    head = "class Mute(Exception):\n    def __str__(self): raise self\n"
    assert solved(cell, "raise Mute", ONE, head).cause == "error"


FORGERY = """\
import os, struct
for fd in range(3, 64):
    try: os.write(fd, struct.pack('>I', {size}) + {said!r})
    except OSError: pass
return {answer}
"""


@pytest.mark.parametrize(
    "said",
    [b'{"value":1}', b'{"value":9}', b"garbage", b"[]", b"5", b"[" * 5000, b"\xff\xfe", b'{"passed":true}', b"{}",
     b'{"value":{"record":{"x":1}}}', b'{"value":{"type":"object"}}', b'{"value":1e999}',
     b'{"value":NaN}', b'{"raised":["x"]}', b'{"refused":5}', b'{"cause":null}'],
)  # fmt: skip
def test_a_forged_answer_is_judged_like_any_answer(cell: Cell, said: bytes) -> None:
    body = FORGERY.format(said=said, size=len(said), answer="x")
    assert solved(cell, body, TWO).cause in ("wrong", "type", "error")


def test_a_frame_that_promises_more_than_may_be_said_is_too_much_output(cell: Cell) -> None:
    assert solved(cell, FORGERY.format(said=b"x", size=1 << 31, answer="x"), TWO).cause == "output"


def test_the_wanted_answers_are_nowhere_in_the_candidates_process(cell: Cell) -> None:
    body = "import gc, sys\nframe, seen = sys._getframe(), ''\nwhile frame:\n    seen += repr(frame.f_locals)\n"
    body += "    frame = frame.f_back\n"
    body += "seen += repr([o for o in gc.get_objects() if type(o) in (dict, list, tuple)])[:10**7]\n"
    body += "return '24yzzyx'[::-1] in seen"
    assert solved(cell, body, [("(1,)", "False"), ("(2,)", "False"), ("('xyzzy42',)", "True")]).cause is None


def test_every_candidate_starts_from_the_same_state(cell: Cell) -> None:
    body = "import builtins, os, random\nseen = [getattr(builtins, 'mark', ''), os.environ.get('mark', '')]\n"
    body += "builtins.mark = os.environ['mark'] = 'mark'\nreturn seen + [random.random()]"
    task = make_task(cases=[("(1,)", "['', '', 0.8444218515250481]")])
    for _ in range(2):
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        assert ask(cell, task, f"def solve(x):\n{lines}").cause is None


def test_a_large_input_reaches_the_program(cell: Cell) -> None:
    text = "7 " * 2_000_000
    assert printed(cell, "print(sum(map(int, input().split())))", (text, "14000000\n")).cause is None


@pytest.mark.parametrize(
    "read",
    ["input() + input()", "''.join(__import__('sys').stdin.read().split())", "''.join(open(0).read().split())",
     "__import__('os').read(0, 99).decode().replace('\\n', '')",
     "b''.join(__import__('sys').stdin.buffer.read().split()).decode()"],
)  # fmt: skip
def test_a_program_runs_as_main_and_reads_its_own_input_each_time_by_any_way(cell: Cell, read: str) -> None:
    source = f"import sys\nif __name__ == '__main__':\n    print({read})\n    sys.exit(0)\n"
    assert printed(cell, source, ("a\nb\n", "ab\n"), ("c\nd\n", "cd\n"))[:3] == (None, "", 2)


def test_a_program_that_ends_badly_has_failed_whatever_it_printed(cell: Cell) -> None:
    assert printed(cell, "print('a')\nraise SystemExit(3)", ("", "a")).cause == "error"


def test_a_thread_with_a_large_stack_runs_as_programmers_in_contests_have_it(cell: Cell) -> None:
    source = (
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 27)\n"
        "def deep(n): return 0 if n == 0 else 1 + deep(n - 1)\n"
        "def main(): print(deep(50000))\n"
        "t = threading.Thread(target=main); t.start(); t.join()\n"
    )
    assert printed(cell, source, ("", "50000\n")).cause is None


@pytest.mark.parametrize(
    "escape",
    [
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getppid(), 9)",
        "os.kill(-1, 9)",
        "os.killpg(0, 9)",
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "open('/etc/passwd').read()",
        "open('/etc/hostname').read()",
        "open('/proc/1/cmdline').read()",
        "open('/proc/self/mem', 'r+b')",
        "os.listdir('/root')",
        "os.listdir('/home')",
        "os.listdir('/tmp')",
        "open('/tmp/autosurgeon-attack-x', 'w')",
        "open('autosurgeon-attack-x', 'w')",
        "open('/dev/shm/autosurgeon-attack-x', 'w')",
        "open(os.__file__, 'a')",
        "os.symlink('/', '/tmp/autosurgeon-attack-l')",
        "os.mkfifo('/tmp/autosurgeon-attack-f')",
        "os.memfd_create('x')",
        "os.setuid(0)",
        "os.chroot('/')",
        "os.pidfd_open(1)",
        "os.sched_setaffinity(os.getppid(), [0])",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
        "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0))",
        "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "check(ctypes.CDLL(None, use_errno=True).prctl(1, 0, 0, 0, 0))",
        "check(ctypes.CDLL(None, use_errno=True).unshare(0x10000000))",
        "check(ctypes.CDLL(None, use_errno=True).ptrace(16, os.getppid(), 0, 0))",
        "check(ctypes.CDLL(None, use_errno=True).shmget(1, 4096, 0o1600))",
        "check(ctypes.CDLL(None, use_errno=True).mount(b'x', b'/', b'tmpfs', 0, 0))",
    ],
)
def test_what_a_sandbox_forbids_raises_in_the_candidate_and_goes_no_further(sandbox: Cell, escape: str) -> None:
    source = (
        "import ctypes, os, resource, socket\n"
        "def check(code):\n    if code < 0: raise OSError(ctypes.get_errno(), 'refused')\n"
        f"def solve(x):\n    try:\n        {escape}\n    except (OSError, ValueError):\n        return 'refused'\n"
    )
    assert ask(sandbox, make_task(cases=[("(1,)", "'refused'")]), source)[:2] == (None, "")


def test_a_bomb_of_threads_ends_with_its_candidate(sandbox: Cell) -> None:
    body = "import threading, time\nthreading.stack_size(32768)\nn = 0\n"
    body += (
        "try:\n    while n < 5000:\n        threading.Thread(target=time.sleep, args=(9,)).start()\n        n += 1\n"
    )
    body += "except RuntimeError: pass\nreturn n < 300"
    assert solved(sandbox, body, [("(1,)", "True")]).cause in (None, "timeout")
