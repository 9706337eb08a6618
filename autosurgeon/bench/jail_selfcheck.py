"""A short form of the attack corpus that tests the jail of this machine."""

from __future__ import annotations

from typing import NamedTuple

from autosurgeon.bench.grade import Grader
from autosurgeon.bench.jail import LEVELS, levels_here
from autosurgeon.core.envelope import Poison
from autosurgeon.core.task import Case, Split, Task
from autosurgeon.sections import GradingSettings

_TASK = Task(
    task_id="selfcheck",
    bench="selfcheck",
    kind="function",
    prompt="",
    entry_point="twice",
    cases=(Case(given="(21,)", wanted="42"), Case(given="(-1,)", wanted="-2")),
    reference="def twice(x):\n    return 2 * x\n",
    cluster="selfcheck",
    split=Split.SURGERY,
)
_LYING = "class Yes:\n    def __eq__(self, other): return True\n    def __hash__(self): return 42\n"
# The promise that each program tests, the program, and the allowed causes of its failure.
_ATTACKS: dict[str, tuple[str, set[Poison]]] = {
    "an object that equals everything fails": (f"{_LYING}def twice(x): return Yes()\n", {Poison.TYPE}),
    "leaving before the first check fails": ("import os\ndef twice(x): os._exit(0)\n", {Poison.DIED}),
    "an endless loop is stopped": ("def twice(x):\n    while True: pass\n", {Poison.TIMEOUT}),
    "a memory bomb takes only itself": ("def twice(x): return [0] * 10**11\n", {Poison.MEMORY}),
    "a forged answer is judged like any": (
        "import os, struct\ndef twice(x):\n    for fd in range(3, 64):\n        try:\n"
        "            os.write(fd, struct.pack('>I', 11) + b'{\"value\":7}')\n"
        "        except OSError: pass\n    return 2 * x\n",
        {Poison.WRONG, Poison.TYPE, Poison.ERROR},
    ),
}
_TRY = (
    "import os, socket\ndef twice(x):\n    try:\n        {}\n    except OSError:\n        return 2 * x\n    return 0\n"
)
# Actions that a sandbox refuses; a program whose action is refused then answers correctly.
_ESCAPES = {
    "a new process": "os.fork()",
    "a socket": "socket.socket()",
    "a signal to its parent": "os.kill(os.getppid(), 0)",
    "the password file": "open('/etc/passwd')",
    "the folder of temporary files": "os.listdir('/tmp')",
    "writing a file": "open('autosurgeon-selfcheck', 'w')",
}


class Finding(NamedTuple):
    """One promise of the jail, whether it holds on this machine, and the observation."""

    promise: str
    holds: bool
    seen: str


def check_jail(settings: GradingSettings) -> list[Finding]:
    """Test every promise of the jail; a level without a sandbox keeps fewer, which is a finding of its own."""
    quick = settings.model_copy(update={"cpu_s": 0.5, "wall_s": 10.0, "workers": 1})
    with Grader(quick) as grader:
        honest = grader.reference(_TASK)
        found = [Finding("a right program passes", honest.verdict == "pass", honest.detail or honest.verdict)]
        found += [_tried(grader, name, program, causes) for name, (program, causes) in _ATTACKS.items()]
        if grader.level == "plain":
            found.append(Finding("a sandbox", False, "limits only: programs can read, write and reach what you can"))
        else:
            found += [_tried(grader, f"{name} is refused", _TRY.format(code), set()) for name, code in _ESCAPES.items()]
    missing = [name for name in LEVELS[:-1] if name not in levels_here()]
    level = f"{grader.level}, of {', '.join(levels_here())}"
    how = "install bubblewrap" if "bwrap" in missing else "this kernel has no Landlock"
    return [Finding("level", True, level + (f"; {how}" if missing else "")), *found]


def _tried(grader: Grader, promise: str, program: str, causes: set[Poison]) -> Finding:
    """Run a program that has to fail by one of the causes or, where none is named, to pass since it is refused."""
    (grade,) = grader.stream([(_TASK, program)], afresh=True)
    seen = f"it failed: {grade.cause.value}" if grade.cause else f"it got a {grade.verdict}"
    if not causes:
        return Finding(promise, grade.verdict == "pass", "refused" if grade.verdict == "pass" else grade.detail)
    return Finding(promise, grade.cause in causes, seen)
