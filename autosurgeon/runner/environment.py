"""The environment of a capsule: a short list of this process's variables, and fixed ones."""

from __future__ import annotations

import os
from pathlib import Path

from autosurgeon.failpoints import VARIABLE

INHERITED = (
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
"""All variables with this prefix are inherited, because the communication between GPUs depends on the host."""
FIXED = {
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    # The fork server checks for a GPU, and must not initialize the driver before it forks.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    # On a busy machine, threads that spin at every barrier make a step up to thirty times slower.
    "GOMP_SPINCOUNT": "1000",
}


def scrubbed_environment(home: Path) -> dict[str, str]:
    """Return the capsule's whole environment; HOME is the capsule's own folder, so the user's files are not used."""
    inherited = {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith(NCCL)}
    return {**inherited, **FIXED, "HOME": str(home), "AUTOSURGEON_PARENT": str(os.getpid())}
