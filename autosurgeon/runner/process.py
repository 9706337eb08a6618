"""Capsule processes: cold ones, and warm ones forked from a process that imported the torch stack once."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
from pathlib import Path
from typing import IO, Protocol

from autosurgeon.core.jobs import JOB_FILE
from autosurgeon.errors import CapsuleError, UserError
from autosurgeon.runner.environment import scrubbed_environment

LOG_FILE = "capsule.log"
START_TIMEOUT_S = 120.0


class Running(Protocol):
    """A capsule at work."""

    pid: int

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code (minus the signal that killed it), or None after the time-out."""


def kill_group(pid: int) -> None:
    """Kill the process and everything in its group; one that is gone is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


class ColdCapsule:
    """`python -m autosurgeon.capsule job.json`, with its own imports."""

    def __init__(self, python: str, workdir: Path) -> None:
        with (workdir / LOG_FILE).open("ab") as log:
            self._process = subprocess.Popen(
                [python, "-m", "autosurgeon.capsule", str(workdir / JOB_FILE)],
                cwd=workdir,
                env=scrubbed_environment(workdir),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, or None after the time-out."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None


class WarmServer:
    """The process that has the stack loaded and forks a capsule per request."""

    def __init__(self, python: str, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._log = home / "server.log"
        self._python = python
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [python, "-m", "autosurgeon.capsule", "--serve"],
                cwd=home,
                env=scrubbed_environment(home),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._ready = False

    def start(self, workdir: Path) -> WarmCapsule:
        """Fork a capsule for the job in `workdir`.

        Raises:
            UserError: the interpreter cannot load the torch stack.
            CapsuleError: the server is gone.

        """
        self._get_ready()
        request = {"job": str(workdir / JOB_FILE), "log": str(workdir / LOG_FILE)}
        try:
            stdin = self._pipe(self._process.stdin)
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except OSError as error:
            raise CapsuleError("crash", f"the warm capsule server is gone; see {self._log}") from error
        answer = self.answer(START_TIMEOUT_S)
        if answer is None:
            raise CapsuleError("timeout", "the warm capsule server does not fork")
        return WarmCapsule(self, answer["pid"])

    def _get_ready(self) -> None:
        """Wait for the stack to be imported, once."""
        if self._ready:
            return
        try:
            self.answer(START_TIMEOUT_S)
        except CapsuleError as error:
            if self._process.wait() > 0:  # it ended by itself; a signal would be the world's doing
                last = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                raise UserError(
                    "the capsule's interpreter cannot load the torch stack; `autosurgeon doctor` says what is missing",
                    got=last[-1] if last else "no word",
                    where=self._python,
                ) from error
            raise
        self._ready = True

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None  # both were asked for
        return pipe

    def answer(self, timeout_s: float) -> dict[str, int] | None:
        """The server's next line; None after the time-out, CapsuleError when it has ended."""
        stdout = self._pipe(self._process.stdout)
        # Answers are one short line each, so a readable pipe holds a whole one.
        if not select.select([stdout], [], [], timeout_s)[0]:
            return None
        line = stdout.readline()
        if not line:
            raise CapsuleError("crash", f"the warm capsule server ended; see {self._log}")
        answer: dict[str, int] = json.loads(line)
        return answer

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it, and with it any capsule of its making."""
        kill_group(self._process.pid)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class WarmCapsule:
    """A capsule that a server forked."""

    def __init__(self, server: WarmServer, pid: int) -> None:
        self._server = server
        self.pid = pid

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, or None after the time-out."""
        answer = self._server.answer(timeout_s)
        return None if answer is None else answer["exit"]
