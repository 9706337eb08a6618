"""The client of the fork server, which forks capsules: warm, with the torch stack imported once, or cold."""

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
SERVER_LOG = "server.log"
START_TIMEOUT_S = 120.0
REAP_S = 10.0
READY = {"ready": True}
"""The fork server's first line."""


class End(NamedTuple):
    """The end of a capsule's job."""

    code: int | None
    """The exit code, or minus the number of the signal that killed the capsule; None if it was not reaped."""
    survivors: tuple[int, ...]
    """The processes that SIGKILL did not end."""
    resident: bool = False
    """Whether the capsule waits for another job."""


class ForkServer:
    """The fork server, which forks capsules, and kills them with their child processes when this process is gone."""

    def __init__(self, python: str, home: Path, *, warm: bool) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._log = home / SERVER_LOG
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

    def start(self, workdir: Path, cgroup: Path | None, resident_s: float | None = None) -> Capsule:
        """Fork a capsule for the job in `workdir`; it joins the cgroup, if one is given.

        With `resident_s`, a resident capsule takes the job, if there is one, and the capsule then stays resident for
        that many seconds.

        Raises:
            UserError: the interpreter cannot load the torch stack.
            CapsuleError: the fork server is gone.

        """
        self._get_ready()
        self.send(
            {
                "job": str(workdir / JOB_FILE),
                "log": str(workdir / LOG_FILE),
                "cgroup": None if cgroup is None else str(cgroup),
                "resident_s": resident_s,
            }
        )
        answer = self.receive(START_TIMEOUT_S)
        if answer is None:
            raise CapsuleError("timeout", "the fork server does not fork a capsule")
        return Capsule(self, answer["pid"])

    def has_resident(self) -> bool:
        """Whether a resident capsule waits for the next job; CapsuleError as for `start`."""
        return self._request("resident")["pid"] is not None

    def end_resident(self) -> tuple[int, ...]:
        """End the resident capsule, if there is one, and return the survivors; CapsuleError as for `start`."""
        return tuple(self._request("end")["survivors"])

    def _request(self, word: str) -> dict[str, Any]:
        self._get_ready()
        self.send({word: True})
        answer = self.receive(START_TIMEOUT_S)
        if answer is None:
            raise CapsuleError("timeout", "the fork server does not answer")
        return answer

    def _get_ready(self) -> None:
        """Wait until the stack is imported; later calls do nothing."""
        if self._ready:
            return
        try:
            answer = self.receive(START_TIMEOUT_S)
        except CapsuleError as error:
            # It ended by itself; a signal would be a failure of the world.
            if self._ended(REAP_S) and self._process.returncode >= 0:
                output = self._log.read_bytes()[self._log_begins :].decode(errors="replace")
                last = output.strip().splitlines()
                raise UserError(
                    "the capsule's interpreter cannot load the torch stack; `autosurgeon doctor` names what is missing",
                    got=last[-1] if last else "no output",
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
        """The last parts of a message about the interpreter."""
        return {"wanted": "the path of a Python with autosurgeon[capsule], as capsule.python", "where": self._python}

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None  # both were requested
        return pipe

    def send(self, request: dict[str, Any]) -> None:
        """Send a request; CapsuleError if the fork server is gone."""
        try:
            stdin = self._pipe(self._process.stdin)
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except OSError as error:
            raise CapsuleError("crash", f"the fork server is gone; see {self._log}") from error

    def receive(self, timeout_s: float) -> dict[str, Any] | None:
        """Return the fork server's next line; None after the time-out, CapsuleError if it ended."""
        # `readline` would buffer bytes beyond the line, which the next `select` does not see; two answers may arrive
        # together, for example if a capsule ends as soon as it starts.
        pipe = self._pipe(self._process.stdout).fileno()
        while b"\n" not in self._unread:
            if not select.select([pipe], [], [], timeout_s)[0]:
                return None
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                raise CapsuleError("crash", f"the fork server ended; see {self._log}")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        # Another program than the fork server may write anything.
        return answer if isinstance(answer, dict) else {}

    @property
    def alive(self) -> bool:
        """Whether the fork server runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the fork server and its capsules; kill it if it does not exit when its input ends."""
        with contextlib.suppress(OSError):
            self._pipe(self._process.stdin).close()
        # Before it is ready, it does not read its input.
        if not (self._ready and self._ended(REAP_S)):
            self.kill()
        self._pipe(self._process.stdout).close()

    def kill(self) -> None:
        """Kill the fork server and its descendants; do not wait long for processes that are stuck in the kernel."""
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
    """A running capsule."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self._server = server
        self.pid = pid

    def wait(self, timeout_s: float) -> End | None:
        """Return the end of the job, once none of its child processes is alive; None after the time-out."""
        answer = self._server.receive(timeout_s)
        return (
            None if answer is None else End(answer["exit"], tuple(answer["survivors"]), answer.get("resident", False))
        )

    def family(self) -> list[int]:
        """Return the capsule and its descendants, in any process group or session."""
        return descendants(self._server.pid)

    def kill(self) -> End | None:
        """Kill the capsule and its child processes; None if they are not gone after `REAP_S`."""
        try:
            self._server.send({"kill": True})
            return self.wait(REAP_S)
        except CapsuleError:  # without its server the kernel has killed the capsule; its group remains
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            return End(None, ())
