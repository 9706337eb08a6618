"""A short form of the attack corpus: what the jail of this machine keeps in, tried on the spot."""

from __future__ import annotations

from autosurgeon.bench.grade import Grader
from autosurgeon.bench.jail import LEVELS, levels_here
from autosurgeon.config import GradingSettings
from autosurgeon.core.envelope import Poison
from autosurgeon.core.task import Case, Split, Task
from autosurgeon.errors import WorldError

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
# What each program tries, the program, and the causes that are allowed for its failure.
_ATTACKS: dict[str, tuple[str, set[Poison]]] = {
    "an object that equals everything": (f"{_LYING}def twice(x): return Yes()\n", {Poison.TYPE}),
    "leaving before the first check": ("import os\ndef twice(x): os._exit(0)\n", {Poison.DIED}),
    "an endless loop": ("def twice(x):\n    while True: pass\n", {Poison.TIMEOUT}),
    "a memory bomb": ("def twice(x): return [0] * 10**11\n", {Poison.MEMORY}),
    "a forged answer": (
        "import os, struct\ndef twice(x):\n    for fd in range(3, 64):\n        try:\n"
        "            os.write(fd, struct.pack('>I', 11) + b'{\"value\":7}')\n"
        "        except OSError: pass\n    return 2 * x\n",
        {Poison.WRONG, Poison.TYPE, Poison.ERROR},
    ),
}
_TRY = (
    "import os, socket\ndef twice(x):\n    try:\n        {}\n    except OSError:\n        return 2 * x\n    return 0\n"
)
# What a sandbox refuses; a program that is refused goes on and answers rightly.
_ESCAPES = {
    "a new process": "os.fork()",
    "a socket": "socket.socket()",
    "a signal to its parent": "os.kill(os.getppid(), 0)",
    "the password file": "open('/etc/passwd')",
    "the folder of temporary files": "os.listdir('/tmp')",
    "writing a file": "open('autosurgeon-selfcheck', 'w')",
}


def check_jail(settings: GradingSettings) -> str:
    """A sentence about what held; WorldError that names the first thing that did not."""
    quick = settings.model_copy(update={"cpu_s": 0.5, "wall_s": 10.0, "workers": 1})
    with Grader(quick) as grader:
        honest = grader.reference(_TASK)
        if honest.verdict != "pass":
            raise WorldError(f"{grader.level}: a right program does not pass: {honest.cause or honest.verdict}")
        for name, (program, causes) in _ATTACKS.items():
            (grade,) = grader.stream([(_TASK, program)], afresh=True)
            if grade.cause not in causes:
                raise WorldError(f"{grader.level}: {name} ended as {grade.cause or grade.verdict}: {grade.detail}")
        if grader.level == "plain":
            return "plain: limits only, no sandbox: programs can read, write and reach what you can; install bubblewrap"
        for name, escape in _ESCAPES.items():
            (grade,) = grader.stream([(_TASK, _TRY.format(escape))], afresh=True)
            if grade.verdict != "pass":
                raise WorldError(f"{grader.level}: {name} was not refused: {grade.detail}")
    others = [level for level in LEVELS if level not in levels_here()]
    lacking = f"; not here: {', '.join(others)}" if others else ""
    return f"{grader.level}: {len(_ATTACKS)} attacks failed, {len(_ESCAPES)} escapes were refused{lacking}"
