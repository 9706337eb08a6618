"""`Capsules.run(job, workdir)` runs one job and returns its typed result, or raises CapsuleError with the cause."""

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
    GenerateResult,
    MergeJob,
    OpenJob,
    Outcome,
    ReshapeJob,
    Result,
    TrainResult,
)
from autosurgeon.core.ports import Beat, OnProgress, Report, no_beat, no_report
from autosurgeon.core.usage import DeviceUsage
from autosurgeon.core.value import Value
from autosurgeon.errors import CapsuleError, UserError
from autosurgeon.failpoints import reach
from autosurgeon.runner.cgroup import make_cgroup, own_cgroup, remove_cgroup
from autosurgeon.runner.fork_client import LOG_FILE, Capsule, End, ForkServer
from autosurgeon.runner.gpu import GpuBaseline
from autosurgeon.runner.memory import oom_kills
from autosurgeon.runner.monitor import watch
from autosurgeon.runner.usage_meter import Meter
from autosurgeon.sections import CapsuleSettings

MAX_OUTCOME_BYTES = 1 << 20


class Capsules:
    """Runs capsules one at a time; `close` ends the fork server.

    A warm capsule that generates or compares stays resident for the next job, except that it ends before a training.
    """

    def __init__(
        self,
        settings: CapsuleSettings,
        home: Path,
        beat: Beat = no_beat,
        meter: Meter | None = None,
        report: Report = no_report,
    ) -> None:
        """Keep the fork server's files in `home`.

        `beat` is called while a capsule is within its limits, `meter` counts what capsules use, and `report` receives
        a line, once, when a model is run without a fast path.
        """
        self._python = settings.python or sys.executable
        self._settings = settings
        self._home = home
        self._beat = beat
        self._meter = meter or Meter()
        self._report, self._reported = report, set[str]()
        self._server: ForkServer | None = None
        self._own_cgroup = own_cgroup()
        self._cgroup: Path | None = None
        self._resident = False
        self._gpus = GpuBaseline(settings.gpu_tolerance_mib, settings.gpu_wait_s)

    def warm_up(self) -> None:
        """Start to import the torch stack in the background, if warm capsules are enabled."""
        if self._settings.warm:
            self._running_server()

    def _running_server(self) -> ForkServer:
        """Return the fork server, and start one if none runs."""
        if self._server is None or not self._server.alive:
            self._gpus.record()
            self._server = ForkServer(self._python, self._home, warm=self._settings.warm)
        return self._server

    def run(self, job: Value, workdir: Path, on_progress: OnProgress | None = None) -> Result:
        """Run the job in a fresh `workdir`; afterwards none of its processes runs, except a resident capsule.

        Raises:
            UserError: the job's inputs are at fault.
            CapsuleError: the job failed, with the cause; the folder keeps the log.

        """
        shutil.rmtree(workdir, ignore_errors=True)
        workdir.mkdir(parents=True)
        (workdir / JOB_FILE).write_text(job.model_dump_json(indent=1) + "\n", encoding="utf-8")
        # A training needs the whole GPU, so no other capsule runs beside it.
        may_stay = isinstance(job, GenerateJob | CompareJob | MergeJob | ReshapeJob) and self._settings.resident_s > 0
        may_stay = may_stay and self._settings.warm
        if not (may_stay and self._has_resident()):
            self._end_resident()
            may_stay = may_stay and not isinstance(job, MergeJob | ReshapeJob)  # they did not wait for a free GPU
            if _needs_gpu(job):
                self._gpus.record()
                self._gpus.wait_until_free()
            self._cgroup = make_cgroup(self._own_cgroup)
        killed_before, began = oom_kills(self._own_cgroup), time.monotonic()
        try:
            end = self._run_in_cgroup(workdir, on_progress, self._settings.resident_s if may_stay else None)
        finally:
            self._meter.count(time.monotonic() - began, _usage(workdir))
        reach("capsule-ended")
        if end.code is None or end.survivors:
            raise self._wedged(f"the capsule ended with code {end.code}")
        result = _result(workdir, end.code, out_of_memory=oom_kills(self._own_cgroup) > killed_before)
        self._report_replaced(result)
        return result

    def _report_replaced(self, result: Result) -> None:
        """Report the fast paths that a training or generation did without."""
        if not isinstance(result, GenerateResult | TrainResult) or not result.replaced:
            return
        pieces = ", ".join(result.replaced)
        line = f"{result.verb}: slower, by plain transformers in place of {pieces}, whose results differ for this model"
        if line not in self._reported:
            self._reported.add(line)
            self._report(line)

    def _run_in_cgroup(self, workdir: Path, on_progress: OnProgress | None, resident_s: float | None) -> End:
        self._resident = False
        try:
            capsule = self._start(workdir, resident_s)
            try:
                reach("capsule-started")
                end = watch(capsule, workdir, self._settings, on_progress, self._meter, self._beat)
            except BaseException as error:
                self._kill(capsule, error)
                raise
            self._resident = end.resident
            return end
        finally:
            if not self._settings.warm:
                self.close()
            if not self._resident:
                self._remove_cgroup()

    def _start(self, workdir: Path, resident_s: float | None) -> Capsule:
        server = self._running_server()
        try:
            return server.start(workdir, self._cgroup, resident_s)
        except BaseException:
            self.close()
            raise

    def _has_resident(self) -> bool:
        """Whether a resident capsule waits for the next job; it may have timed out, or have been killed."""
        if not self._resident or self._server is None or not self._server.alive:
            return False
        try:
            return self._server.has_resident()
        except BaseException:
            self.close()
            raise

    def _end_resident(self) -> None:
        """End the resident capsule, if there is one."""
        if self._resident and self._server is not None and self._server.alive:
            try:
                survivors = self._server.end_resident()
            except BaseException:
                self.close()
                raise
            if survivors:
                raise self._wedged("the resident capsule had to end")
        self._resident = False
        self._remove_cgroup()

    def _remove_cgroup(self) -> None:
        if self._cgroup is not None:
            remove_cgroup(self._cgroup)
            self._cgroup = None

    def _kill(self, capsule: Capsule, error: BaseException) -> None:
        """Kill the capsule; if it survives, replace the fork server, whose next answer could belong to this capsule."""
        end = capsule.kill()
        if end is None or end.survivors:
            raise self._wedged(str(error)) from error

    def _wedged(self, what: str) -> CapsuleError:
        if self._server is not None:
            self._server.kill()
        self.close()
        return CapsuleError(
            "wedged",
            f"{what}; a process of it does not die after SIGKILL; the next stage starts from a fresh process",
        )

    def close(self) -> None:
        """End the fork server and with it the resident capsule."""
        self._resident = False
        if self._server is not None:
            self._server.close()
            self._server = None
        self._remove_cgroup()


def _needs_gpu(job: Value) -> bool:
    """Whether the job uses a GPU if there is one; opening, a plain merge and plain arithmetic on adapters do not."""
    if isinstance(job, OpenJob):
        return False
    if isinstance(job, MergeJob):
        return job.merge_base == "dequantized"
    return not isinstance(job, ReshapeJob) or job.method == "intruders"


def _usage(workdir: Path) -> DeviceUsage | None:
    """Return the usage that the capsule reports; None without a readable report."""
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
    """Return the result of an outcome that agrees with the exit code; UserError or CapsuleError otherwise."""
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
