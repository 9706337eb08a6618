"""The operating room's door: `python -m autosurgeon.capsule job.json` runs one job and exits.

`--serve` keeps a warm process that has imported the torch stack (seconds) and forks a fresh capsule for each job
(milliseconds); `--serve --cold` one that has not. `keeper.py` says what the two read and answer.

What is not promised here: no sandbox. A capsule runs this project's code on local files; generated programs are run by
`autosurgeon.bench`, elsewhere. Limits of time and memory are kept by the runner, which has the keeper kill.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autosurgeon.capsule.exhausted import is_out_of_memory
from autosurgeon.capsule.keeper import serve
from autosurgeon.capsule.usage import Gauge
from autosurgeon.capsule.workdir import write_whole
from autosurgeon.core.jobs import JOB, OUTCOME_FILE, Outcome
from autosurgeon.errors import UserError

EXIT_OK, EXIT_CRASH, EXIT_USER, EXIT_MEMORY = 0, 1, 2, 4


def verb_of(name: str) -> Callable[[Any, Path], Any]:
    """The function of a verb; imported here, so that a merge does not wait for transformers."""
    if name == "train":
        from autosurgeon.capsule.train import train

        return train
    if name == "generate":
        from autosurgeon.capsule.generate import generate

        return generate
    if name == "merge":
        from autosurgeon.capsule.merge import merge

        return merge
    if name == "compare":
        from autosurgeon.capsule.compare import compare

        return compare
    from autosurgeon.capsule.pretrain import pretrain

    return pretrain


def _attempt(path: Path) -> tuple[Outcome, int]:
    try:
        job = JOB.validate_json(path.read_bytes())
        return Outcome(result=verb_of(job.verb)(job, path.parent)), EXIT_OK
    except Exception as error:
        traceback.print_exc()
        if is_out_of_memory(error):
            return Outcome(error=_line(error), cause="memory"), EXIT_MEMORY
        if isinstance(error, UserError | ValidationError | FileNotFoundError):
            return Outcome(error=" ".join(str(error).split()), cause="user"), EXIT_USER
        return Outcome(error=_line(error), cause="crash"), EXIT_CRASH


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def run_job(path: Path) -> int:
    """Run the job in its folder, leave `outcome.json` there last, and give the exit code."""
    path = path.resolve()
    os.chdir(path.parent)
    gauge = Gauge()
    outcome, code = _attempt(path)
    outcome = outcome.model_copy(update={"usage": gauge.read()})
    write_whole(path.parent / OUTCOME_FILE, outcome.model_dump_json(indent=1) + "\n")
    return code


def load_stack() -> None:
    """Import the modules of the verbs, and with them the torch stack."""
    for verb in ("generate", "merge", "train", "compare"):
        verb_of(verb)


def main(arguments: list[str]) -> int:
    """The program."""
    if arguments[:1] == ["--serve"] and arguments[1:] in ([], ["--cold"]):
        serve(load_stack if arguments == ["--serve"] else lambda: None, run_job)
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m autosurgeon.capsule JOB.json | --serve [--cold]\n")
        return EXIT_USER
    return run_job(Path(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
