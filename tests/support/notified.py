"""A service manager's end of the line: a Unix datagram socket that keeps the messages that it received, and when."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self


class Manager:
    """Listens at a path, or at an abstract address that begins with @."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.received: list[tuple[float, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @classmethod
    def at(cls, folder: Path) -> Manager:
        """In a folder; abstract where the path would be too long for a socket."""
        path = str(folder / "notify")
        return cls(path if len(path) < 100 else f"@autosurgeon-{os.getpid()}-{folder.name}")

    def environment(self, interval_s: float) -> dict[str, str]:
        """What a service of this manager finds in its environment."""
        return {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": str(int(interval_s * 1e6))}

    def listen(self, seconds: float) -> list[str]:
        """What comes within so many seconds."""
        deadline, heard = time.monotonic() + seconds, []
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                message = self._socket.recv(4096).decode()
            except TimeoutError:
                break
            self.received.append((time.monotonic(), message))
            heard.append(message)
        return heard

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen beside a block, until the service announces its end."""
        thread = threading.Thread(target=self.until, args=(lambda message: message == "STOPPING=1",), daemon=True)
        thread.start()
        yield
        thread.join(90)

    def until(self, holds: Callable[[str], bool], within_s: float = 90) -> str:
        """The first message that is as wanted."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for message in self.listen(0.2):
                if holds(message):
                    return message
        raise AssertionError(f"no such message came; but {[message for _, message in self.received]}")

    @property
    def words(self) -> list[str]:
        """All messages, in order."""
        return [message for _, message in self.received]
