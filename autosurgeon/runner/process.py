"""Capsule processes and their keeper: warm, with the torch stack imported once, or cold, one for each job."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
from pathlib import Path
from typing import IO, Any, NamedTuple

from autosurgeon.core.jobs import JOB_FILE
from autosurgeon.errors import CapsuleError, UserError
from autosurgeon.processes import descendants
from autosurgeon.runner.environment import scrubbed_environment

LOG_FILE = "capsule.log"
KEEPER_LOG = "server.log"
START_TIMEOUT_S = 120.0
REAP_S = 10.0
READY = {"ready": True}
"""The keeper's first line."""


class End(NamedTuple):
    """How a capsule ended: its exit code, minus the signal that killed it, and whom no signal could end."""

    code: int | None
    left: tuple[int, ...]
    stays: bool = False
    """Whether the capsule waits for another job."""


class ForkServer:
    """The process that forks capsules, and kills them and all they started when this process is gone."""

    def __init__(self, python: str, home: Path, *, warm: bool) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._log = home / KEEPER_LOG
        self._python = python
        with self._log.open("ab") as log:
            self._log_begins = log.tell()
            try:
                self._process = subprocess.Popen(
                    [python, "-m", "autosurgeon.capsule", "--serve", *([] if warm else ["--cold"])],
                    cwd=home,
                    env=scrubbed_environment(home),
                    # The death pipe: Python opens it close-on-exec, so that no other child holds this end.
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                got = getattr(error, "strerror", None) or error
                raise UserError("the capsule's interpreter cannot be started", got=got, **self._wanted) from error
        self.pid = self._process.pid
        self._ready = False
        self._unread = b""

    def start(self, workdir: Path, cgroup: Path | None, stays_s: float | None = None) -> Capsule:
        """Fork a capsule for the job in `workdir`; it joins the cgroup, if one is given.

        With `stays_s`, whoever stays from such a job before gets this one, and is there so long for the next.

        Raises:
            UserError: the interpreter cannot load the torch stack.
            CapsuleError: the keeper is gone.

        """
        self._get_ready()
        self.tell(
            {
                "job": str(workdir / JOB_FILE),
                "log": str(workdir / LOG_FILE),
                "cgroup": None if cgroup is None else str(cgroup),
                "stays": stays_s,
            }
        )
        answer = self.answer(START_TIMEOUT_S)
        if answer is None:
            raise CapsuleError("timeout", "the capsules' keeper does not fork")
        return Capsule(self, answer["pid"])

    def someone_stays(self) -> bool:
        """Whether a capsule waits for the next job of its kind; CapsuleError as `start`."""
        return self._ask("there")["pid"] is not None

    def end_staying(self) -> tuple[int, ...]:
        """End the capsule that waits, if there is one; whom no signal could end. CapsuleError as `start`."""
        return tuple(self._ask("end")["left"])

    def _ask(self, word: str) -> dict[str, Any]:
        self._get_ready()
        self.tell({word: True})
        answer = self.answer(START_TIMEOUT_S)
        if answer is None:
            raise CapsuleError("timeout", "the capsules' keeper does not answer")
        return answer

    def _get_ready(self) -> None:
        """Wait for the stack to be imported, once."""
        if self._ready:
            return
        try:
            answer = self.answer(START_TIMEOUT_S)
        except CapsuleError as error:
            # It ended by itself; a signal would be the world's doing.
            if self._ended(REAP_S) and self._process.returncode >= 0:
                words = self._log.read_bytes()[self._log_begins :].decode(errors="replace")
                last = words.strip().splitlines()
                raise UserError(
                    "the capsule's interpreter cannot load the torch stack; `autosurgeon doctor` says what is missing",
                    got=last[-1] if last else "no word",
                    where=self._python,
                ) from error
            raise
        if answer is None:
            raise CapsuleError("timeout", f"the torch stack was not imported after {START_TIMEOUT_S:.0f} s")
        if answer != READY:
            raise UserError("the capsule's interpreter is no Python", got="output of another program", **self._wanted)
        self._ready = True

    @property
    def _wanted(self) -> dict[str, Any]:
        """What a message asks for, and where."""
        return {"wanted": "the path of a Python with autosurgeon[capsule], as capsule.python", "where": self._python}

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None  # both were asked for
        return pipe

    def tell(self, request: dict[str, Any]) -> None:
        """Write a request; CapsuleError when the keeper is gone."""
        try:
            stdin = self._pipe(self._process.stdin)
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except OSError as error:
            raise CapsuleError("crash", f"the capsules' keeper is gone; see {self._log}") from error

    def answer(self, timeout_s: float) -> dict[str, Any] | None:
        """The keeper's next line; None after the time-out, CapsuleError when it has ended."""
        # Not by `readline`: what it reads beyond the line is out of sight of the next `select`, and two answers may
        # come together, as where a capsule ends as soon as it begins.
        pipe = self._pipe(self._process.stdout).fileno()
        while b"\n" not in self._unread:
            if not select.select([pipe], [], [], timeout_s)[0]:
                return None
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                raise CapsuleError("crash", f"the capsules' keeper ended; see {self._log}")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        # Another program in the keeper's place may write anything.
        return answer if isinstance(answer, dict) else {}

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it, and with it all that it keeps; one that does not leave when told to is killed."""
        with contextlib.suppress(OSError):
            self._pipe(self._process.stdin).close()
        # Before it is ready it does not listen.
        if not (self._ready and self._ended(REAP_S)):
            self.kill()
        self._pipe(self._process.stdout).close()

    def kill(self) -> None:
        """Kill it and all below it, from outside; what waits in the kernel is not waited for long."""
        if not self.alive:
            return
        for pid in [self.pid, *descendants(self.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._ended(REAP_S)

    def _ended(self, timeout_s: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return not self.alive


class Capsule:
    """A capsule at work."""

    def __init__(self, keeper: ForkServer, pid: int) -> None:
        self._keeper = keeper
        self.pid = pid

    def wait(self, timeout_s: float) -> End | None:
        """How it ended, once nothing that it started is alive; None after the time-out."""
        answer = self._keeper.answer(timeout_s)
        return None if answer is None else End(answer["exit"], tuple(answer["left"]), answer.get("stays", False))

    def family(self) -> list[int]:
        """The capsule and all that it started, whatever group or session that is in now."""
        return descendants(self._keeper.pid)

    def kill(self) -> End | None:
        """Have it killed with all that it started; None where it is still there after `REAP_S`."""
        try:
            self._keeper.tell({"kill": True})
            return self.wait(REAP_S)
        except CapsuleError:  # no keeper: the kernel has killed the capsule, and its group is left
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            return End(None, ())
