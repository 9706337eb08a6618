"""Messages to a service manager by `sd_notify`: ready, status, watchdog, and stopping.

Datagrams go to the socket in `NOTIFY_SOCKET`, as in sd_notify(3); without it nothing is sent. The loop's own thread
sends them, so that a loop that hangs sends none.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, MutableMapping

from autosurgeon.core.decision import Decision
from autosurgeon.core.ports import Reporter
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord

SEND_S = 1.0
"""How long a full socket may block the loop; then the datagram is dropped."""
STATUS_EVERY_S = 2.0
"""Progress comes many times a second."""
MAX_STATUS = 200
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Watchdog:
    """The connection to the service manager; inactive where there is none."""

    def __init__(self, address: str = "", interval_s: float | None = None) -> None:
        """Use a socket's address; `interval_s` is the manager's watchdog interval, None without one."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        # Four beats per interval, since the loop may work for some time between two calls.
        self._every_s = interval_s / 4 if interval_s else None
        self._beaten = float("-inf")

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str]) -> Watchdog:
        """The watchdog of the environment, removed from it, so that no child process sends messages."""
        address, usec, pid = (environment.pop(name, "") for name in VARIABLES)
        if not address.startswith(("/", "@")):
            return cls()
        ours = pid in ("", str(os.getpid())) and usec.isascii() and usec.isdigit()
        return cls(address, int(usec) / 1e6 if ours else None)

    def beat(self) -> None:
        """Report that the loop is running; call it often, it sends at the needed rate."""
        now = time.monotonic()
        if self._every_s is not None and now - self._beaten >= self._every_s and self._send("WATCHDOG=1"):
            self._beaten = now

    def status(self, text: str) -> None:
        """Send a status line."""
        self._send(f"STATUS={' '.join(text.split())[:MAX_STATUS]}")

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Report the service as ready at the start of a block, and as stopping at its end."""
        self._send("READY=1")
        self.beat()
        try:
            yield
        finally:
            self._send("STOPPING=1")

    def _send(self, message: str) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(SEND_S)
                channel.connect(self._address)
                channel.send(message.encode(errors="replace"))
        except OSError:
            # A manager that is briefly unavailable must not stop the run.
            return False
        return True


class WatchedReporter:
    """A reporter that also sends each line to the service manager as its status."""

    def __init__(self, inner: Reporter, watchdog: Watchdog) -> None:
        self._inner = inner
        self._watchdog = watchdog
        self._pass = self._stage = ""
        self._shown = float("-inf")

    def _notify(self, *parts: str) -> None:
        self._watchdog.beat()
        self._watchdog.status(": ".join(part for part in parts if part))

    def say(self, text: str) -> None:
        """A line about the run; a pause is one."""
        self._notify(text)
        self._inner.say(text)

    def pass_started(self, number: int, recipe: Recipe) -> None:
        """The pass."""
        self._pass = f"pass {number}"
        self._notify(self._pass)
        self._inner.pass_started(number, recipe)

    def stage_started(self, scope: str, name: str) -> None:
        """The stage, and of what."""
        of_pass = scope.startswith("pass-")
        self._stage = name.split("-")[0] if of_pass else f"{name.split('-')[0]} of {scope}"
        self._notify(self._pass if of_pass else "", self._stage)
        self._inner.stage_started(scope, name)

    def progress(self, done: int, total: int, note: str) -> None:
        """How far the stage is, now and then."""
        self._watchdog.beat()
        now = time.monotonic()
        if now - self._shown >= STATUS_EVERY_S:
            self._shown = now
            self._notify(self._pass, self._stage, f"{done} of {total} {note}")
        self._inner.progress(done, total, note)

    def stage_ended(self, seconds: float) -> None:
        """A beat."""
        self._watchdog.beat()
        self._inner.stage_ended(seconds)

    def decided(self, decision: Decision) -> None:
        """A beat; the verdict is in the log."""
        self._watchdog.beat()
        self._inner.decided(decision)

    def pass_ended(self, record: PassRecord) -> None:
        """How the pass ended."""
        self._notify(f"pass {record.number}", record.state.value)
        self._pass = self._stage = ""
        self._inner.pass_ended(record)
