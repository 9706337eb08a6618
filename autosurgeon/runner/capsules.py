"""`Capsules.run(job, workdir)`: one job to one typed result, or a CapsuleError that says how the world failed."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from autosurgeon.core.jobs import (
    JOB_FILE,
    OUTCOME_FILE,
    CompareJob,
    GenerateJob,
    MergeJob,
    Outcome,
    ReshapeJob,
    Result,
)
from autosurgeon.core.ports import Beat, OnProgress, no_beat
from autosurgeon.core.usage import DeviceUsage
from autosurgeon.core.value import Value
from autosurgeon.errors import CapsuleError, UserError
from autosurgeon.failpoints import reach
from autosurgeon.runner.cgroup import make_cgroup, own_cgroup, remove_cgroup
from autosurgeon.runner.gpu import GpuBaseline
from autosurgeon.runner.memory import oom_kills
from autosurgeon.runner.monitor import watch
from autosurgeon.runner.process import LOG_FILE, Capsule, End, ForkServer
from autosurgeon.runner.usage_meter import Meter
from autosurgeon.sections import CapsuleSettings

MAX_OUTCOME_BYTES = 1 << 20


class Capsules:
    """Runs capsules one at a time; close it to end the warm process that they are forked from.

    A warm capsule that generated or compared stays for the next job but a training, and is gone before one begins.
    """

    def __init__(self, settings: CapsuleSettings, home: Path, beat: Beat = no_beat, meter: Meter | None = None) -> None:
        """Keep the keeper's files in `home`; call `beat` while a capsule is within its limits, and tell the meter."""
        self._python = settings.python or sys.executable
        self._settings = settings
        self._home = home
        self._beat = beat
        self._meter = meter or Meter()
        self._keeper: ForkServer | None = None
        self._own_cgroup = own_cgroup()
        self._cgroup: Path | None = None
        self._stays = False
        self._gpus = GpuBaseline(settings.gpu_tolerance_mib, settings.gpu_wait_s)

    def warm_up(self) -> None:
        """Begin to import the stack in the background, if warm capsules are wanted."""
        if self._settings.warm:
            self._ready_keeper()

    def _ready_keeper(self) -> ForkServer:
        """The keeper that is there, or a fresh one."""
        if self._keeper is None or not self._keeper.alive:
            self._gpus.take()
            self._keeper = ForkServer(self._python, self._home, warm=self._settings.warm)
        return self._keeper

    def run(self, job: Value, workdir: Path, on_progress: OnProgress | None = None) -> Result:
        """Run the job in a fresh `workdir`; when this returns or raises, no process of it is left but one that stays.

        Raises:
            UserError: the job's inputs are at fault.
            CapsuleError: with the cause of what went wrong; the folder keeps the log.

        """
        shutil.rmtree(workdir, ignore_errors=True)
        workdir.mkdir(parents=True)
        (workdir / JOB_FILE).write_text(job.model_dump_json(indent=1) + "\n", encoding="utf-8")
        # What trains wants the whole card, and is alone.
        may_stay = isinstance(job, GenerateJob | CompareJob | MergeJob | ReshapeJob) and self._settings.resident_s > 0
        may_stay = may_stay and self._settings.warm
        if not (may_stay and self._someone_stays()):
            self._end_staying()
            may_stay = may_stay and not isinstance(job, MergeJob | ReshapeJob)  # for which no GPU is asked for
            if _needs_gpu(job):
                self._gpus.take()
                self._gpus.wait_until_back()
            self._cgroup = make_cgroup(self._own_cgroup)
        killed_before, began = oom_kills(self._own_cgroup), time.monotonic()
        try:
            end = self._run_in_cgroup(workdir, on_progress, self._settings.resident_s if may_stay else None)
        finally:
            self._meter.count(time.monotonic() - began, _usage(workdir))
        reach("capsule-ended")
        if end.code is None or end.left:
            raise self._wedged(f"the capsule ended with code {end.code}")
        return _result(workdir, end.code, out_of_memory=oom_kills(self._own_cgroup) > killed_before)

    def _run_in_cgroup(self, workdir: Path, on_progress: OnProgress | None, stays_s: float | None) -> End:
        self._stays = False
        try:
            capsule = self._start(workdir, stays_s)
            try:
                reach("capsule-started")
                end = watch(capsule, workdir, self._settings, on_progress, self._meter, self._beat)
            except BaseException as error:
                self._put_down(capsule, error)
                raise
            self._stays = end.stays
            return end
        finally:
            if not self._settings.warm:
                self.close()
            if not self._stays:
                self._remove_cgroup()

    def _start(self, workdir: Path, stays_s: float | None) -> Capsule:
        keeper = self._ready_keeper()
        try:
            return keeper.start(workdir, self._cgroup, stays_s)
        except BaseException:
            self.close()
            raise

    def _someone_stays(self) -> bool:
        """Whether a capsule waits for the next job; one may have waited too long, or have been killed."""
        if not self._stays or self._keeper is None or not self._keeper.alive:
            return False
        try:
            return self._keeper.someone_stays()
        except BaseException:
            self.close()
            raise

    def _end_staying(self) -> None:
        """See to it that no capsule waits."""
        if self._stays and self._keeper is not None and self._keeper.alive:
            try:
                left = self._keeper.end_staying()
            except BaseException:
                self.close()
                raise
            if left:
                raise self._wedged("a capsule that stayed was to make room")
        self._stays = False
        self._remove_cgroup()

    def _remove_cgroup(self) -> None:
        if self._cgroup is not None:
            remove_cgroup(self._cgroup)
            self._cgroup = None

    def _put_down(self, capsule: Capsule, error: BaseException) -> None:
        """Kill the capsule; one that does not die costs the keeper, so that the next one's answers are its own."""
        end = capsule.kill()
        if end is None or end.left:
            raise self._wedged(str(error)) from error

    def _wedged(self, first: str) -> CapsuleError:
        if self._keeper is not None:
            self._keeper.kill()
        self.close()
        return CapsuleError(
            "wedged",
            f"{first}; it, or what it started, was killed and does not die; the next stage starts from a fresh process",
        )

    def close(self) -> None:
        """End the keeper, and with it whoever stays."""
        self._stays = False
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        self._remove_cgroup()


def _needs_gpu(job: Value) -> bool:
    """Whether one is used where there is one; a plain merge and plain arithmetic on adapters use none."""
    if isinstance(job, MergeJob):
        return job.merge_base == "dequantized"
    return not isinstance(job, ReshapeJob) or job.method == "intruders"


def _usage(workdir: Path) -> DeviceUsage | None:
    """What the capsule says that it used; None where it does not, or says nothing that can be read."""
    try:
        return _outcome(workdir).usage
    except (OSError, CapsuleError, ValidationError):
        return None


def _outcome(workdir: Path) -> Outcome:
    path = workdir / OUTCOME_FILE
    if path.stat().st_size > MAX_OUTCOME_BYTES:
        raise CapsuleError("bad_outcome", f"{path} is too large")
    return Outcome.model_validate_json(path.read_bytes())


def _result(workdir: Path, code: int, *, out_of_memory: bool) -> Result:
    """What the capsule left; its exit code and its outcome have to agree."""
    log = workdir / LOG_FILE
    if code == -signal.SIGKILL and out_of_memory:
        raise CapsuleError("memory", f"killed while the kernel was out of memory; see {log}")
    if code < 0:
        raise CapsuleError("killed", f"by signal {-code}; see {log}")
    path = workdir / OUTCOME_FILE
    try:
        outcome = _outcome(workdir)
    except FileNotFoundError as error:
        raise CapsuleError("bad_outcome", f"exit code {code} and no outcome; see {log}") from error
    except ValidationError as error:
        raise CapsuleError("bad_outcome", f"{path} does not parse: {error.errors()[0]['msg']}") from error
    if outcome.cause == "user":
        raise UserError(outcome.error or "a capsule refused its job")
    if outcome.cause is not None or outcome.result is None or code != 0:
        raise CapsuleError(outcome.cause or "crash", f"{outcome.error or f'exit code {code}'}; see {log}")
    return outcome.result
