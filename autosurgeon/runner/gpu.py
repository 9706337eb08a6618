"""The GPUs' memory, as nvidia-smi tells it: back to what it was before the first capsule, or no stage begins."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time

from autosurgeon.errors import CapsuleError

QUERY_S = 10.0
POLL_S = 0.5


def _ask(*query: str) -> list[list[str]] | None:
    """The rows of an nvidia-smi query; None where it is not there, fails, or hangs."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        process = subprocess.Popen(
            [program, *query, "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError:
        return None
    try:
        text, _ = process.communicate(timeout=QUERY_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # One that hangs in the driver does not die; it is not waited for.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        return None
    finally:
        if process.stdout is not None:
            process.stdout.close()
    if process.returncode != 0:
        return None
    return [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip()]


def used_mib() -> dict[str, int] | None:
    """MiB in use on each GPU that a capsule may see, by UUID; None where nvidia-smi does not tell.

    `CUDA_VISIBLE_DEVICES` is taken as numbers in nvidia-smi's order or as UUIDs; where it names anything else, a MIG
    slice for instance, all GPUs count.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = None if visible is None else [name.strip() for name in visible.split(",") if name.strip()]
    if names is not None and (not names or names[0] == "-1"):
        return None
    if names is not None and not all(name.isdigit() or name.startswith("GPU-") for name in names):
        names = None
    rows = _ask("--query-gpu=index,uuid,memory.used")
    if rows is None:
        return None
    return {
        row[1]: int(row[2])
        for row in rows
        if len(row) == 3 and row[2].isdigit()  # not on a GPU that shares the host's memory
        if names is None or row[0] in names or any(not n.isdigit() and row[1].startswith(n) for n in names)
    }


def _holders(uuids: set[str]) -> str:
    """The processes on the GPUs, in words."""
    rows = _ask("--query-compute-apps=gpu_uuid,pid,process_name,used_memory") or []
    named = [f"{row[2]} (process {row[1]}, {row[3]} MiB)" for row in rows if len(row) == 4 and row[0] in uuids]
    return ", ".join(named) or "a process that nvidia-smi does not name"


class GpuBaseline:
    """What was in use before the first capsule; without a GPU there is none, and nothing is waited for."""

    def __init__(self, tolerance_mib: int, wait_s: float) -> None:
        self._tolerance_mib = tolerance_mib
        self._wait_s = wait_s
        self._before: dict[str, int] | None = None
        self._taken = False

    def take(self) -> None:
        """Read it, once."""
        if not self._taken:
            self._before, self._taken = used_mib(), True

    def wait_until_back(self) -> None:
        """Return once every GPU is back; CapsuleError `gpu_memory`, with whoever holds it, after the wait."""
        if not self._before:
            return
        deadline = time.monotonic() + self._wait_s
        while True:
            now = used_mib()
            if now is not None:
                over = {u: mib for u, mib in now.items() if mib > self._before.get(u, mib) + self._tolerance_mib}
                if not over:
                    return
            if time.monotonic() >= deadline:
                break
            time.sleep(POLL_S)
        if now is None:
            raise CapsuleError("gpu_memory", f"nvidia-smi has not answered for {self._wait_s:.0f} s, and did before")
        said = ", ".join(f"{u}: {mib} MiB, {self._before[u]} before the first capsule" for u, mib in over.items())
        raise CapsuleError("gpu_memory", f"not free after {self._wait_s:.0f} s: {said}; held by {_holders(set(over))}")
