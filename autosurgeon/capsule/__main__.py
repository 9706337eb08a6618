"""The operating room's door: `python -m autosurgeon.capsule job.json` runs one job and exits.

`--serve` keeps a warm process that has imported the torch stack (seconds) and forks a fresh capsule for each job
(milliseconds). It reads one JSON request a line, `{"job": path, "log": path}`, and answers with two: `{"pid": n}` when
the capsule runs, `{"exit": code}` when it is gone (minus the signal's number where one killed it). One at a time.

What is not promised here: no sandbox. A capsule runs this project's code on local files; generated programs are run by
`autosurgeon.bench`, elsewhere. Limits of time and memory are kept by the runner, which kills the process group.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autosurgeon.capsule.workdir import write_whole
from autosurgeon.core.jobs import JOB, OUTCOME_FILE, Outcome
from autosurgeon.errors import UserError

EXIT_OK, EXIT_CRASH, EXIT_USER, EXIT_MEMORY = 0, 1, 2, 4
PR_SET_PDEATHSIG = 1


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
    except (UserError, ValidationError, FileNotFoundError) as error:
        traceback.print_exc()
        return Outcome(error=" ".join(str(error).split()), cause="user"), EXIT_USER
    except Exception as error:
        traceback.print_exc()
        # Torch's own out-of-memory error is a RuntimeError, and on a CPU only its words tell.
        memory = isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate" in str(error)
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        return Outcome(error=line, cause="memory" if memory else "crash"), EXIT_MEMORY if memory else EXIT_CRASH


def run_job(path: Path) -> int:
    """Run the job in its folder, leave `outcome.json` there last, and give the exit code."""
    path = path.resolve()
    os.chdir(path.parent)
    outcome, code = _attempt(path)
    write_whole(path.parent / OUTCOME_FILE, outcome.model_dump_json(indent=1) + "\n")
    return code


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent ends; leave at once if it already has."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(EXIT_CRASH)


def _become_capsule(parent: int, request: dict[str, str]) -> None:
    os.setsid()
    die_with_parent(parent)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    quiet = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((quiet, 0), (log, 1), (log, 2)):
        os.dup2(source, target)


def serve() -> int:
    """Import the stack, say so, then fork one capsule per request until standard input ends."""
    for verb in ("generate", "merge", "train", "compare"):
        verb_of(verb)  # its module imports the stack

    # The protocol keeps a descriptor of its own: libraries write to standard output as they please.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    answers.write('{"ready": true}\n')
    for line in sys.stdin:
        request, parent = json.loads(line), os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_capsule(parent, request)
            code = run_job(Path(request["job"]))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        answers.write(json.dumps({"pid": pid}) + "\n")
        _, status = os.waitpid(pid, 0)
        answers.write(json.dumps({"exit": os.waitstatus_to_exitcode(status)}) + "\n")
    return EXIT_OK


def main(arguments: list[str]) -> int:
    """The program."""
    if arguments == ["--serve"]:
        die_with_parent(int(os.environ.get("AUTOSURGEON_PARENT", os.getppid())))
        return serve()
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m autosurgeon.capsule JOB.json | --serve\n")
        return EXIT_USER
    if parent := os.environ.get("AUTOSURGEON_PARENT"):
        die_with_parent(int(parent))
    return run_job(Path(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
