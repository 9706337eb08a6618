"""Jails: a bare interpreter runs a program of `inside/` with as few rights as this machine can enforce.

| level | guarantees |
|---|---|
| bwrap | own user, process, network, mount and IPC namespaces; no writable path, no /proc; landlock's seccomp too |
| landlock | only the interpreter's paths are readable, none writable; no process, signal, socket or tracing (seccomp) |
| plain | a process of its own with limits on CPU time, memory and files; no sandbox |

At `bwrap` and `landlock`, root first changes to an unprivileged user, so that limits on threads hold for root too.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from autosurgeon.bench.packages import Package
from autosurgeon.errors import UserError, WorldError

Level = Literal["bwrap", "landlock", "plain"]
LEVELS: tuple[Level, ...] = get_args(Level)
INSIDE = Path(__file__).with_name("inside")
THREADS = 256
HELLO_S = 60
"""Seconds that an empty jail may take to start; a busy machine is slow, which does not mean that it has no jail."""
_NOBODY = 65534
_PACKAGES = "/packages"
# Numeric libraries start a thread per core, each with address space of its own.
_THREADS_OF_LIBRARIES = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", **_THREADS_OF_LIBRARIES}
_MIRROR = "autosurgeon-library-"
_FRESH_S = 60
"""Seconds within which a process locks a folder that it makes."""


def interpreter() -> tuple[Path, Path]:
    """Return the base interpreter, not a virtual environment's, and the prefix of its library; links resolved."""
    prefix = Path(sys.base_prefix).resolve()
    program = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    return program, prefix


def start(
    level: Level, program: str, descriptors: Sequence[int], stdin: int, packages: tuple[Package, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start `inside/PROGRAM` in a jail; the descriptors' numbers are its last arguments.

    The jail ends with the thread that starts it, and leaves no folder behind.
    """
    command, keep = _command(level, program, packages)
    try:
        return subprocess.Popen(
            [*command, json.dumps(_confinement(level, packages)), *map(str, descriptors)],
            # The plain level has no sandbox that forbids writing to the working folder; /proc accepts no files.
            cwd="/proc" if level == "plain" else "/",
            env={"PYTHONDONTWRITEBYTECODE": "1", **_ENVIRONMENT},
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[*descriptors, *keep],
            start_new_session=True,
        )
    except OSError as error:
        raise WorldError(f"a jail does not start: {error}") from error
    finally:
        for descriptor in keep:
            os.close(descriptor)


def _confinement(level: Level, packages: tuple[Package, ...]) -> dict[str, object]:
    """Return the rights that the program gives up; see `inside/confine.py`."""
    root = os.geteuid() == 0
    readable, mirror = _library() if level == "landlock" else ([], [])
    folder = _PACKAGES if level == "bwrap" else _links_to(packages) if packages else None
    if packages and level == "landlock":
        readable = [*readable, str(folder), *(str(entry) for package in packages for entry in package.entries)]
    return {
        "mirror": mirror,
        "packages": folder if packages else None,
        "nobody": root and level != "plain",
        "filter": level != "plain",
        "paths": readable,
        # Outside a user namespace, the limit of an ordinary user counts all the user's processes.
        "threads": THREADS if level == "bwrap" or (level == "landlock" and root) else None,
    }


@functools.cache
def _library() -> tuple[list[str], list[str]]:
    """Return the paths that a landlocked program may read, and a mirror of the standard library with its original.

    The library's folder may also hold installed packages, and a Landlock rule for a folder covers everything in it. So
    each entry except those has a rule of its own, and imports go through a folder of links.
    """
    _, prefix = interpreter()
    library = prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    mirror = _lasting_folder()
    entries = [entry for entry in library.iterdir() if entry.name not in ("site-packages", "dist-packages")]
    for entry in entries:
        (mirror / entry.name).symlink_to(entry)
    native = [str(path) for root in ("/usr/lib", "/lib") for path in Path(root).glob("*-linux-gnu*")]
    shared = [str(path) for path in (prefix / "lib").glob("*.so*")]
    system = [path for path in ("/lib64", "/usr/lib64") if Path(path).exists()]
    devices = ["/dev/null", "/dev/urandom"]
    return [*map(str, entries), str(mirror), *native, *shared, *system, str(INSIDE), *devices], [
        str(mirror),
        str(library),
    ]


@functools.cache
def _links_to(packages: tuple[Package, ...]) -> str:
    """A folder of links to the packages."""
    folder = _lasting_folder()
    for package in packages:
        for entry in package.entries:
            (folder / entry.name).symlink_to(entry)
    return str(folder)


def _lasting_folder() -> Path:
    """Make a folder that lasts as long as this process, and remove those of processes that were killed.

    A process holds a lock on its folder, which the kernel releases when the process ends.
    """
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{_MIRROR}*"):
        with contextlib.suppress(OSError):
            about = left.lstat()
            if about.st_uid == os.geteuid() and time.time() - about.st_mtime > _FRESH_S:
                lock = _locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)
    folder = Path(tempfile.mkdtemp(prefix=_MIRROR, dir=parent))
    _locked(folder, fcntl.LOCK_SH)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    return folder


def _locked(folder: Path, how: int) -> int:
    """Return a descriptor of the folder that holds a lock; OSError where another process holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _command(level: Level, program: str, packages: tuple[Package, ...]) -> tuple[list[str], list[int]]:
    """Return the command line, and the descriptors to pass on and close."""
    python, prefix = interpreter()
    if level != "bwrap":
        return [str(python), "-I", "-S", str(INSIDE / program)], []
    if os.geteuid() == 0:
        # Two users are mapped: candidates run as the unprivileged one, so that they cannot reach the server.
        space = _user_namespace()
        rights = [option for name in ("SETUID", "SETGID", "KILL") for option in ("--cap-add", f"CAP_{name}")]
        user, keep = ["--userns", str(space), *rights], [space]
    else:
        user, keep = ["--unshare-user", "--disable-userns", "--uid", str(_NOBODY), "--gid", str(_NOBODY)], []
    inner = prefix if prefix == Path("/usr") else Path("/python")
    library = ["--ro-bind", str(prefix / "lib"), str(inner / "lib")] if inner != prefix else []
    executable = inner / "bin" / python.name
    command = [
        *("bwrap", "--cap-drop", "ALL", *user, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--unshare-cgroup-try", "--die-with-parent", "--new-session", "--clearenv"),
        # bwrap makes parent folders that only their owner may enter, so they are made here with open permissions.
        *_open_folders("/usr", "/python", "/python/bin", "/usr/bin"),
        *(part for name, value in _ENVIRONMENT.items() for part in ("--setenv", name, value)),
        *("--setenv", "LD_LIBRARY_PATH", str(inner / "lib")),
        *("--ro-bind", "/usr/lib", "/usr/lib", "--ro-bind-try", "/usr/lib64", "/usr/lib64"),
        *_system_folders(),
        *library,
        *_without_packages(prefix, inner),
        *_with_packages(packages),
        *("--ro-bind", str(python), str(executable), "--ro-bind", str(INSIDE), "/inside", "--tmpfs", "/dev"),
        *("--dev-bind", "/dev/null", "/dev/null", "--dev-bind", "/dev/urandom", "/dev/urandom"),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"),
        *(str(executable), "-I", "-S", f"/inside/{program}"),
    ]
    return command, keep


def _without_packages(prefix: Path, inner: Path) -> list[str]:
    """Cover installed packages beside the standard library with empty folders."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    options: list[str] = []
    for name in (f"lib/{version}/site-packages", "lib/python3/dist-packages"):
        if (prefix / name).is_dir():
            folder = str(inner / name)
            options += ["--size", "4096", "--tmpfs", folder, "--remount-ro", folder]
    return options


def _with_packages(packages: tuple[Package, ...]) -> list[str]:
    """The packages of the settings, read-only."""
    entries = [entry for package in packages for entry in package.entries]
    binds = [part for entry in entries for part in ("--ro-bind", str(entry), f"{_PACKAGES}/{entry.name}")]
    return [*_open_folders(_PACKAGES), *binds] if binds else []


def _open_folders(*names: str) -> list[str]:
    return [option for name in names for option in ("--perms", "0755", "--dir", name)]


def _system_folders() -> list[str]:
    """Provide `/lib` and `/lib64`, which are links into /usr on most systems and folders on others."""
    options: list[str] = []
    for name in ("/lib", "/lib64"):
        if os.path.islink(name):
            options += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            options += ["--ro-bind", name, name]
    return options


def _user_namespace() -> int:
    """Make a user namespace with root and one unprivileged user, and return its descriptor; root only."""
    python, _ = interpreter()
    helper = [str(python), "-I", "-S", str(INSIDE / "namespace.py")]
    with subprocess.Popen(helper, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            if process.stdout.read(1) != b"y":
                raise WorldError("a user namespace cannot be made")
            for kind in ("uid_map", "gid_map"):
                Path(f"/proc/{process.pid}/{kind}").write_text(f"0 0 1\n{_NOBODY} {_NOBODY} 1\n", encoding="ascii")
            return os.open(f"/proc/{process.pid}/ns/user", os.O_RDONLY)
        except OSError as error:
            raise WorldError(f"a user namespace cannot be made: {error}") from error


@functools.cache
def levels_here() -> tuple[Level, ...]:
    """Return the levels that work on this machine, best first; each is tried once."""
    return tuple(level for level in LEVELS if _works(level))


def _works(level: Level) -> bool:
    if level == "plain":
        return True
    if platform.system() != "Linux" or (level == "bwrap" and shutil.which("bwrap") is None):
        return False
    try:
        with tempfile.TemporaryFile() as nothing:
            process = start(level, "hello.py", [], nothing.fileno())
        try:
            return process.wait(HELLO_S) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
    except WorldError:
        return False


def choose(wish: Literal["auto"] | Level) -> Level:
    """Return the wanted level, or the best for `auto`; UserError when this machine does not offer it."""
    if wish == "auto":
        return levels_here()[0]
    if wish not in levels_here():
        raise UserError("a jail level does not work on this machine", got=wish, wanted=" or ".join(levels_here()))
    return wish
