"""`Capsules.run(job, workdir)`: one job to one typed result, or a CapsuleError that says how the world failed."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from autosurgeon.config import CapsuleSettings
from autosurgeon.core.jobs import JOB_FILE, OUTCOME_FILE, PROGRESS_FILE, Outcome, Result
from autosurgeon.core.ports import Beat, OnProgress, no_beat
from autosurgeon.core.value import Value
from autosurgeon.errors import CapsuleError, UserError
from autosurgeon.failpoints import reach
from autosurgeon.runner.process import LOG_FILE, ColdCapsule, Running, WarmServer, kill_group

POLL_S = 0.05
REAP_S = 10.0
MAX_OUTCOME_BYTES = 1 << 20


class Capsules:
    """Runs capsules one at a time; close it to end the warm server."""

    def __init__(self, settings: CapsuleSettings, home: Path, beat: Beat = no_beat) -> None:
        """Keep the warm server's files in `home`; `beat` is called while a capsule is within its limits."""
        self._python = settings.python or sys.executable
        self._settings = settings
        self._home = home
        self._beat = beat
        self._server: WarmServer | None = None

    def warm_up(self) -> None:
        """Begin to import the stack in the background, if warm capsules are wanted."""
        if self._settings.warm and (self._server is None or not self._server.alive):
            self._server = WarmServer(self._python, self._home)

    def run(self, job: Value, workdir: Path, on_progress: OnProgress | None = None) -> Result:
        """Run the job in a fresh `workdir`.

        Raises:
            UserError: the job's inputs are at fault.
            CapsuleError: killed, crash, timeout, memory or bad_outcome; the folder keeps the log.

        """
        shutil.rmtree(workdir, ignore_errors=True)
        workdir.mkdir(parents=True)
        (workdir / JOB_FILE).write_text(job.model_dump_json(indent=1) + "\n", encoding="utf-8")
        capsule = self._start(workdir)
        reach("capsule-started")
        try:
            code = self._watch(capsule, workdir, on_progress)
        except BaseException:
            kill_group(capsule.pid)
            # Reaped here, so that the next capsule's answers are its own.
            with contextlib.suppress(CapsuleError):
                capsule.wait(REAP_S)
            raise
        reach("capsule-ended")
        return _result(workdir, code)

    def _start(self, workdir: Path) -> Running:
        if not self._settings.warm:
            return ColdCapsule(self._python, workdir)
        self.warm_up()
        assert self._server is not None
        try:
            return self._server.start(workdir)
        except (CapsuleError, UserError):
            self._server.close()
            self._server = None
            raise

    def _watch(self, capsule: Running, workdir: Path, on_progress: OnProgress | None) -> int:
        deadline = time.monotonic() + self._settings.wall_s
        limit_bytes = self._settings.memory_gib * 2**30
        reader = _ProgressReader(workdir / PROGRESS_FILE)
        while (code := capsule.wait(POLL_S)) is None:
            self._beat()
            if on_progress is not None and (latest := reader.latest()) is not None:
                on_progress(*latest)
            resident = _resident_bytes(capsule.pid)
            if resident > limit_bytes:
                raise CapsuleError(
                    "memory", f"{resident / 2**30:.1f} GiB resident, the limit is {self._settings.memory_gib}"
                )
            if time.monotonic() > deadline:
                raise CapsuleError("timeout", f"no end after {self._settings.wall_s:.0f} s")
        return code

    def close(self) -> None:
        """End the warm server."""
        if self._server is not None:
            self._server.close()
            self._server = None


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * 4096


def _result(workdir: Path, code: int) -> Result:
    """What the capsule left; its exit code and its outcome have to agree."""
    log = workdir / LOG_FILE
    if code < 0:
        raise CapsuleError("killed", f"by signal {-code}; see {log}")
    path = workdir / OUTCOME_FILE
    try:
        if path.stat().st_size > MAX_OUTCOME_BYTES:
            raise CapsuleError("bad_outcome", f"{path} is too large")
        outcome = Outcome.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise CapsuleError("bad_outcome", f"exit code {code} and no outcome; see {log}") from error
    except ValidationError as error:
        raise CapsuleError("bad_outcome", f"{path} does not parse: {error.errors()[0]['msg']}") from error
    if outcome.cause == "user":
        raise UserError(outcome.error or "a capsule refused its job")
    if outcome.cause is not None or outcome.result is None or code != 0:
        raise CapsuleError(outcome.cause or "crash", f"{outcome.error or f'exit code {code}'}; see {log}")
    return outcome.result


class _ProgressReader:
    """Follows a growing JSONL file; a line that is not whole yet waits for its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def latest(self) -> tuple[int, int, dict[str, float]] | None:
        """The newest whole line since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return None
        end = text.rfind(b"\n")
        if end < 0:
            return None
        self._offset += end + 1
        line = json.loads(text[:end].rsplit(b"\n", 1)[-1])
        return line.pop("done"), line.pop("total"), line
