"""What a capsule's process may see of this one's environment: a short list, everything else is left out."""

from __future__ import annotations

import os
from pathlib import Path

from autosurgeon.failpoints import VARIABLE

PASSED_ON = (
    "PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "TMPDIR",
    VARIABLE,
)
NCCL = "NCCL_"
"""How the GPUs of a host talk to each other is for that host to say: all of these are passed on."""
SET = {
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    # Whether there is a GPU is asked in the process that capsules are forked from, where the driver must not be awake.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    # On a machine with other work, threads that spin at every barrier make a step up to thirty times slower.
    "GOMP_SPINCOUNT": "1000",
}


def scrubbed_environment(home: Path) -> dict[str, str]:
    """The capsule's whole environment; its home is its own folder, so nothing of the user's is read or written."""
    passed = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith(NCCL)}
    return {**passed, **SET, "HOME": str(home), "AUTOSURGEON_PARENT": str(os.getpid())}
