"""The corpus: each program with what its first lines say of it.

The header, one `# key: value` a line, in any order, ends at the first line that is none:

| key | what it says |
|---|---|
| about | what the attack tries, or what is awkward about an honest program |
| task | which toy task of `tasks.py` it answers |
| expect | `fail`, or `pass` for an honest program |
| causes | why it may fail, from `Poison` |
| plain | `no`: where there is no sandbox it would hurt or escape, so it is not run there |
| again | `yes`: the first run prepares the second, so it is run twice |
| slow | `yes`: it takes seconds, so it is not run alone in CI |
| tier | `shared`: its task's tests share an interpreter with the candidate, so a pass counts for little |
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from autosurgeon.core.envelope import Poison
from autosurgeon.core.task import Task

from .tasks import TASKS

HERE = Path(__file__).resolve().parent
REQUIRED = {"about", "task", "expect"}
OPTIONAL = {"causes", "plain", "again", "slow", "tier"}


class Program(NamedTuple):
    """One file of the corpus."""

    name: str
    source: str
    about: str
    task: Task
    honest: bool
    causes: frozenset[Poison]
    plain: bool
    again: bool
    slow: bool
    tier: str

    def twin(self, number: int) -> tuple[Task, str]:
        """The same program as another text, so that it is run and not remembered."""
        return self.task, f"{self.source}\n# {number}\n"


def read(path: Path) -> Program:
    """A program; ValueError for a header that is not complete."""
    lines = path.read_text(encoding="utf-8").split("\n")
    header: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.removeprefix("# ").partition(": ")
        if not line.startswith("# ") or not colon or key not in REQUIRED | OPTIONAL or key in header:
            break
        header[key] = value.strip()
    if missing := REQUIRED - header.keys():
        raise ValueError(f"{path.name}: no {', '.join(sorted(missing))}")
    honest = {"pass": True, "fail": False}[header["expect"]]
    causes = frozenset(Poison(cause) for cause in header.get("causes", "").split(", ") if cause)
    if honest == bool(causes):
        raise ValueError(f"{path.name}: causes are for programs that fail, and each of those has some")
    return Program(
        path.stem,
        "\n".join(lines[len(header) :]),
        header["about"],
        TASKS[header["task"]],
        honest,
        causes,
        {"no": False, None: True}[header.get("plain")],
        {"yes": True, None: False}[header.get("again")],
        {"yes": True, None: False}[header.get("slow")],
        {"shared": "shared", None: "split"}[header.get("tier")],
    )


ATTACKS = tuple(read(path) for path in sorted((HERE / "programs").glob("*.py")))
HONEST = tuple(read(path) for path in sorted((HERE / "honest").glob("*.py")))
