"""The entry point of the capsule: `python -m autosurgeon.capsule job.json` runs one job and exits.

`--serve` runs the fork server, which imports the torch stack once (seconds) and forks a capsule for each job
(milliseconds) or passes the job to a resident one; `--serve --cold` does not import the stack. `fork_server.py`
describes the protocol.

A capsule is not a sandbox: it runs this project's code on local files; `autosurgeon.bench` runs generated programs. The
runner enforces limits of time and memory through the fork server.
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
from autosurgeon.capsule.memory_errors import is_out_of_memory
from autosurgeon.capsule.workdir import write_whole
from autosurgeon.core.jobs import JOB, OUTCOME_FILE, Outcome
from autosurgeon.errors import UserError
from autosurgeon.failpoints import VARIABLE, arm

EXIT_OK, EXIT_CRASH, EXIT_USER, EXIT_MEMORY = 0, 1, 2, 4


def verb_of(name: str) -> Callable[[Any, Path], Any]:
    """Return the function of a verb; it is imported here, so that a merge does not wait for transformers."""
    if name == "train":
        from autosurgeon.capsule.distributed import train

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
    if name == "open":
        from autosurgeon.capsule.open_checkpoint import open_checkpoint

        return open_checkpoint
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
    """Run the job in its folder, write `outcome.json` there last, and return the exit code."""
    return _run(path, verb_of)


def run_jobs() -> Callable[[Path], int]:
    """Return a function like `run_job` for a series of jobs, in which each verb keeps its state from job to job."""
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
    """Import the verbs' modules and the torch stack; on a machine with a GPU, only the modules that allow a fork."""
    import torch

    # bitsandbytes, which peft imports, initializes the driver on import; a process forked afterwards cannot use the
    # GPU. The number of GPUs is read from NVML, which does not initialize it, here and in the modules imported below
    # (PYTORCH_NVML_BASED_CUDA_CHECK of the runner). The compiler's modules, which bitsandbytes imports too, take
    # seconds.
    if torch.cuda.device_count():
        import torch._inductor.compile_fx
        import transformers.generation
        import transformers.modeling_utils  # noqa: F401
    else:
        for verb in ("generate", "merge", "compare"):
            verb_of(verb)
    # transformers builds and caches this mapping when the first model is opened, which takes a quarter of a second.
    with contextlib.suppress(ImportError):
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("llama")


def main(arguments: list[str]) -> int:
    """Run the program and return its exit code."""
    arm(os.environ.get(VARIABLE))
    if arguments[:1] == ["--serve"] and arguments[1:] in ([], ["--cold"]):
        serve(load_stack if arguments == ["--serve"] else lambda: None, run_job, run_jobs)
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m autosurgeon.capsule JOB.json | --serve [--cold]\n")
        return EXIT_USER
    return run_job(Path(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
