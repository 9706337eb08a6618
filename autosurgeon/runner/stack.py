"""A check, before the first job, that the capsule's interpreter finds the packages that jobs import."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from autosurgeon.core.recipe import Quantization
from autosurgeon.errors import InstallError, UserError
from autosurgeon.runner.environment import scrubbed_environment

STACK = ("torch", "transformers", "tokenizers", "peft", "safetensors", "numpy", "pydantic")
QUANTIZED = ("bitsandbytes", "accelerate")
CHECK_S = 60.0
PROGRAM = """
import importlib.util, json, sys
broken = {}
for name in json.loads(sys.argv[1]):
    try:
        if importlib.util.find_spec(name) is None:
            broken[name] = "not installed"
    except Exception as error:
        broken[name] = f"{type(error).__name__}: {error}"
print(json.dumps(broken))
"""


def check_stack(python: str | None, quantization: Quantization) -> None:
    """Check that the packages of every job of a pass can be found; jobs import them later, which takes seconds.

    An interpreter without an answer passes; the first capsule then reports the reason.

    Raises:
        InstallError: packages are missing.
        UserError: the interpreter cannot be started.

    """
    program = python or sys.executable
    names = [*STACK, *(QUANTIZED if quantization == Quantization.NF4 else ())]
    with tempfile.TemporaryDirectory(prefix="autosurgeon-stack-") as folder:
        try:
            asked = subprocess.run(
                [program, "-c", PROGRAM, json.dumps(names)],
                cwd=folder,
                env=scrubbed_environment(Path(folder)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=CHECK_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return
        except OSError as error:
            wanted = "a Python with the capsule's stack, in the setting capsule.python"
            raise UserError(
                "the capsule's interpreter cannot be started", got=error.strerror, wanted=wanted, where=program
            ) from error
    broken = _answer(asked.stdout)
    if broken:
        got = ", ".join(f"{name} ({why})" for name, why in broken.items())
        what = f"packages that capsules need cannot be imported by {program}"
        raise InstallError(what, got=got, packages=["'autosurgeon[capsule]'"], python=program)


def _answer(output: bytes) -> dict[str, str]:
    lines = output.splitlines() or [b""]
    try:
        found = json.loads(lines[-1])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
