"""The operating room's door: `python -m autosurgeon.capsule job.json` runs one job and exits.

`--serve` keeps a warm process that has imported the torch stack (seconds) and forks a fresh capsule for each job
(milliseconds), or hands it to one that stays; `--serve --cold` one that has not. `keeper.py` says what the two read and
answer.

What is not promised here: no sandbox. A capsule runs this project's code on local files; generated programs are run by
`autosurgeon.bench`, elsewhere. Limits of time and memory are kept by the runner, which has the keeper kill.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autosurgeon.capsule.fork_server import serve
from autosurgeon.capsule.gpu_usage import Gauge, summed, usage_of_ranks
from autosurgeon.capsule.oom import is_out_of_memory
from autosurgeon.capsule.workdir import write_whole
from autosurgeon.core.jobs import JOB, OUTCOME_FILE, Outcome
from autosurgeon.errors import UserError
from autosurgeon.failpoints import VARIABLE, arm

EXIT_OK, EXIT_CRASH, EXIT_USER, EXIT_MEMORY = 0, 1, 2, 4


def verb_of(name: str) -> Callable[[Any, Path], Any]:
    """The function of a verb; imported here, so that a merge does not wait for transformers."""
    if name == "train":
        from autosurgeon.capsule.team import train

        return train
    if name == "generate":
        from autosurgeon.capsule.generate import Generator

        return Generator().run
    if name == "merge":
        from autosurgeon.capsule.merge import merge

        return merge
    if name == "reshape":
        from autosurgeon.capsule.reshape import reshape

        return reshape
    if name == "compare":
        from autosurgeon.capsule.compare_models import compare

        return compare
    from autosurgeon.capsule.pretrain import pretrain

    return pretrain


def _attempt(path: Path, verbs: Callable[[str], Callable[[Any, Path], Any]]) -> tuple[Outcome, int]:
    try:
        job = JOB.validate_json(path.read_bytes())
        return Outcome(result=verbs(job.verb)(job, path.parent)), EXIT_OK
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
    return _run(path, verb_of)


def run_jobs() -> Callable[[Path], int]:
    """The same for one job after another, each verb keeping what its next job can use."""
    return functools.partial(_run, verbs=functools.cache(verb_of))


def _run(path: Path, verbs: Callable[[str], Callable[[Any, Path], Any]]) -> int:
    path = path.resolve()
    os.chdir(path.parent)
    gauge = Gauge()
    outcome, code = _attempt(path, verbs)
    outcome = outcome.model_copy(update={"usage": summed([gauge.read(), *usage_of_ranks(path.parent)])})
    write_whole(path.parent / OUTCOME_FILE, outcome.model_dump_json(indent=1) + "\n")
    return code


def load_stack() -> None:
    """Import the modules of the verbs, and with them the torch stack; with a GPU, as much as no fork minds."""
    import torch

    # bitsandbytes, which peft imports, asks the driver at once what the GPU can; a process that is forked after that
    # can use none. The number of them is asked of the driver's library, which leaves no trace, here and in what is
    # imported below (PYTORCH_NVML_BASED_CUDA_CHECK of the runner); the compiler's modules, which bitsandbytes wants
    # too, take seconds.
    if torch.cuda.device_count():
        import torch._inductor.compile_fx
        import transformers.generation
        import transformers.modeling_utils  # noqa: F401
    else:
        for verb in ("generate", "merge", "compare"):
            verb_of(verb)
    # What transformers makes when the first model is opened, a quarter of a second each time, and keeps.
    with contextlib.suppress(ImportError):
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("llama")


def main(arguments: list[str]) -> int:
    """The program."""
    arm(os.environ.get(VARIABLE))
    if arguments[:1] == ["--serve"] and arguments[1:] in ([], ["--cold"]):
        serve(load_stack if arguments == ["--serve"] else lambda: None, run_job, run_jobs)
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m autosurgeon.capsule JOB.json | --serve [--cold]\n")
        return EXIT_USER
    return run_job(Path(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
