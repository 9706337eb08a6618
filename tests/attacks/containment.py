"""What an attack may have left behind: processes, files, connections, shared memory, and memory of the grader's."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import autosurgeon

MARK = "autosurgeon-attack"
"""In the name of whatever an attack leaves in a file system."""
NAMES = ("attack-86399.5", "86399.5")
"""What processes call themselves that are meant to survive: by their name, or by the seconds they sleep."""
VICTIM = Path("/tmp/autosurgeon-attack-victim")
"""A folder of the test run's own, for attacks that want somebody else's."""
DOOR = Path("/tmp/autosurgeon-attack-listener")
LETTERS = Path("/tmp/autosurgeon-attack-letters")
PORT = 47811
MAX_GRADER_BYTES = 1 << 30
MAX_GROWTH_BYTES = 256 << 20
_SUBREAPER = 36
_IPC_REMOVE = 0
_libc = ctypes.CDLL(None, use_errno=True)


class Listener:
    """Listens where attacks knock: TCP, UDP, and Unix sockets with and without a file."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._choice = selectors.DefaultSelector()
        self._wake, self._sleep = socket.socketpair()
        self._choice.register(self._sleep, selectors.EVENT_READ)
        for file in (DOOR, LETTERS):
            file.unlink(missing_ok=True)
        addresses: list[tuple[int, int, object]] = [
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", PORT)),
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", PORT)),
            (socket.AF_UNIX, socket.SOCK_STREAM, "\0autosurgeon-attack-listener"),
            (socket.AF_UNIX, socket.SOCK_STREAM, str(DOOR)),
            (socket.AF_UNIX, socket.SOCK_DGRAM, "\0autosurgeon-attack-letters"),
            (socket.AF_UNIX, socket.SOCK_DGRAM, str(LETTERS)),
        ]
        for family, kind, address in addresses:
            door = socket.socket(family, kind)
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address)  # type: ignore[arg-type]
            if kind == socket.SOCK_STREAM:
                door.listen()
            self._choice.register(door, selectors.EVENT_READ)
        for file in (DOOR, LETTERS):
            file.chmod(0o777)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            for key, _ in self._choice.select():
                door = key.fileobj
                assert isinstance(door, socket.socket)
                if door is self._sleep:
                    return
                self.heard.append(f"a connection to {door.getsockname()!r}")
                if door.type == socket.SOCK_STREAM:
                    door.accept()[0].close()
                else:
                    door.recv(4096)

    def close(self) -> None:
        """Stop listening."""
        self._wake.send(b"x")
        self._thread.join()
        for key in list(self._choice.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._wake.close()
        self._choice.close()
        for file in (DOOR, LETTERS):
            file.unlink(missing_ok=True)


class Process(NamedTuple):
    """A living process, as /proc shows it."""

    pid: int
    parent: int
    command: str
    peak_bytes: int


def processes() -> Iterator[Process]:
    """Every process that lives; one that has ended and waits to be noticed is none."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            lines = (folder / "status").read_text(errors="replace").splitlines()
            status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if not status.get("State", "Z").startswith(("Z", "X")):
            peak = int(status.get("VmHWM", "0 kB").split()[0]) << 10
            yield Process(int(folder.name), int(status["PPid"]), f"{status['Name']} {command}", peak)


def descendants(everybody: list[Process] | None = None) -> list[Process]:
    """Every living process below this one; orphans too, while `adopting`."""
    everybody = everybody or list(processes())
    found: list[Process] = []
    parents = {os.getpid()}
    while parents:
        children = [process for process in everybody if process.parent in parents]
        found += children
        parents = {process.pid for process in children}
    return found


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Meanwhile, a process below this one that loses its parent becomes this one's child."""
    _libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        _libc.prctl(_SUBREAPER, 0, 0, 0, 0)


def survivors(everybody: list[Process] | None = None) -> list[Process]:
    """Processes that an attack left behind, by the names they gave themselves."""
    everybody = everybody or list(processes())
    return [process for process in everybody if any(name in process.command for name in NAMES)]


def ended(which: Iterable[Process], within_s: float = 2.0) -> list[Process]:
    """Those of the processes that do not end in time."""
    left, deadline = list(which), time.monotonic() + within_s
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        alive = {process.pid for process in processes()}
        left = [process for process in left if process.pid in alive]
    return left


def marker_files() -> list[Path]:
    """Files of attacks in the places where attacks write."""
    prefixes = [Path(prefix) for prefix in {sys.prefix, sys.base_prefix}]
    places = [Path(place) for place in ("/", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/dev/mqueue", "/run", "/etc")]
    places += [Path(place) for place in ("/home", "/opt", "/srv", "/mnt", "/usr/lib", "/usr/local", "/var/lib")]
    places += [Path.home(), Path.cwd(), Path(__file__).parent, Path(autosurgeon.__file__).parent]
    places += [Path(autosurgeon.__file__).parent / "bench", Path(autosurgeon.__file__).parent / "bench" / "inside"]
    places += [prefix / below for prefix in prefixes for below in ("", "bin", "lib")]
    places += [Path(entry) for entry in sys.path if entry]
    return sorted(
        path
        for place in {place.resolve() for place in places}
        if place.is_dir()
        for path in place.glob(f"*{MARK}*")
        if path not in (VICTIM, DOOR, LETTERS)
    )


def shared_segments() -> list[str]:
    """System V segments, semaphores and queues with the keys of attacks, as `kind id`."""
    found = []
    for kind in ("shm", "sem", "msg"):
        with contextlib.suppress(OSError):
            rows = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]
            found += [f"{kind} {row.split()[1]}" for row in rows if int(row.split()[0]) >> 8 == 0x617574]
    return found


def remove_segments(segments: Iterable[str]) -> None:
    """Remove what `shared_segments` found."""
    for kind, number in (segment.split() for segment in segments):
        match kind:
            case "shm":
                _libc.shmctl(int(number), _IPC_REMOVE, None)
            case "sem":
                _libc.semctl(int(number), 0, _IPC_REMOVE, 0)
            case _:
                _libc.msgctl(int(number), _IPC_REMOVE, None)


class Guard:
    """Looks for what attacks leave; `findings` says what there is since the last time, and clears it away."""

    def __init__(self) -> None:
        self.listener = Listener()
        self._make_victim()
        self._own_peak = own_peak_bytes()

    def _make_victim(self) -> None:
        shutil.rmtree(VICTIM, ignore_errors=True)
        VICTIM.mkdir(mode=0o755)
        (VICTIM / "precious").write_text("precious")
        os.utime(VICTIM / "precious", (1, 1))

    def _victim_findings(self) -> list[str]:
        try:
            whole = (VICTIM / "precious").read_text() == "precious" and [*VICTIM.iterdir()] == [VICTIM / "precious"]
            same = (VICTIM / "precious").stat().st_mtime == 1 and VICTIM.stat().st_mode & 0o7777 == 0o755
        except OSError:
            whole = same = False
        return [] if whole and same else ["a folder of somebody else was changed"]

    def findings(self) -> list[str]:
        """What is not as it was, as text."""
        found = self._victim_findings()
        if found:
            self._make_victim()
        found += self.listener.heard
        self.listener.heard.clear()
        everybody = list(processes())
        for process in ended(survivors(everybody)):
            found.append(f"a process survived: {process.command}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        for path in marker_files():
            found.append(f"a file was left: {path}")
            # Not by shutil, which goes down a deep tree by recursion.
            subprocess.run(["rm", "-rf", "--one-file-system", "--", path], check=False)
        segments = shared_segments()
        found += [f"shared memory was left: {segment}" for segment in segments]
        remove_segments(segments)
        with contextlib.suppress(AttributeError):
            if _libc.mq_unlink(b"/autosurgeon-attack-queue") == 0:
                found.append("a message queue was left")
        found += [
            f"the grader's process holds {process.peak_bytes >> 20} MiB: {process.command}"
            for process in descendants(everybody)
            if process.peak_bytes > MAX_GRADER_BYTES
        ]
        if (growth := own_peak_bytes() - self._own_peak) > MAX_GROWTH_BYTES:
            found.append(f"the grader grew by {growth >> 20} MiB")
            self._own_peak += growth
        return found

    def close(self) -> None:
        """Take away what was put up for attacks."""
        self.listener.close()
        shutil.rmtree(VICTIM, ignore_errors=True)


def own_peak_bytes() -> int:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
