"""GPU memory, as nvidia-smi reports it: a stage starts only when it is back at its level before the first capsule."""

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


def _query(*query: str) -> list[list[str]] | None:
    """Return the rows of an nvidia-smi query; None if the program is missing, fails or hangs."""
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
        # A process that hangs in the driver does not die, so this does not wait for it.
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
    """Return the MiB in use on each GPU that a capsule may use, by UUID; None if nvidia-smi does not report them.

    `CUDA_VISIBLE_DEVICES` holds numbers in nvidia-smi's order or UUIDs; if it names anything else, such as a MIG slice,
    all GPUs count.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = None if visible is None else [name.strip() for name in visible.split(",") if name.strip()]
    if names is not None and (not names or names[0] == "-1"):
        return None
    if names is not None and not all(name.isdigit() or name.startswith("GPU-") for name in names):
        names = None
    rows = _query("--query-gpu=index,uuid,memory.used")
    if rows is None:
        return None
    return {
        row[1]: int(row[2])
        for row in rows
        if len(row) == 3 and row[2].isdigit()  # a GPU that shares the host's memory reports no number
        if names is None or row[0] in names or any(not n.isdigit() and row[1].startswith(n) for n in names)
    }


def _processes_on(uuids: set[str]) -> str:
    """Return the processes on the GPUs, in words."""
    rows = _query("--query-compute-apps=gpu_uuid,pid,process_name,used_memory") or []
    named = [f"{row[2]} (process {row[1]}, {row[3]} MiB)" for row in rows if len(row) == 4 and row[0] in uuids]
    return ", ".join(named) or "a process that nvidia-smi does not name"


class GpuBaseline:
    """The GPU memory in use before the first capsule; without a GPU, no wait happens."""

    def __init__(self, tolerance_mib: int, wait_s: float) -> None:
        self._tolerance_mib = tolerance_mib
        self._wait_s = wait_s
        self._before: dict[str, int] | None = None
        self._recorded = False

    def record(self) -> None:
        """Read the memory in use; later calls do nothing."""
        if not self._recorded:
            self._before, self._recorded = used_mib(), True

    def wait_until_free(self) -> None:
        """Return when every GPU is back at its baseline; CapsuleError `gpu_memory` with the holders after the wait."""
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
        excess = ", ".join(f"{u}: {mib} MiB, {self._before[u]} before the first capsule" for u, mib in over.items())
        holders = _processes_on(set(over))
        raise CapsuleError("gpu_memory", f"not free after {self._wait_s:.0f} s: {excess}; held by {holders}")
