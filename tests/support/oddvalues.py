"""Values that an option or argument may be given by accident or malice, and the files and folders that they name."""

from __future__ import annotations

import os
import socket
from pathlib import Path

NUMBERS = (
    "0",
    "-1",
    "1",
    "-0.0",
    "0.5",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "1" + "0" * 5000,
    "1e400",
    "1e-400",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "1_0",
    "\u0661",
    "\u00b2",
)
TEXTS = (
    "",
    " ",
    "-",
    "--",
    "\0",
    "a\0b",
    "\udcff",
    "a\nb",
    "\x1b[31m\x07",
    "\u202eabc",
    "\U0001f4a5",
    "x" * 300,
    "x" * 5000,
    "/".join("x" * 100),
    "../" * 50,
    "%s%n%(x)s{0}{x}$HOME`id`;'\"",
    "=",
    "a=b",
    "=1",
    "max_epochs=nan",
    "max_epochs=" + "9" * 5000,
    "max_epochs=1e999",
    "0:1",
    "0:1e400:3",
    "nan:inf:5",
    "0:1:9223372036854775807",
    "1:0:-5",
    "9999-12-31T23:59:59+23:59",
    "0001-01-01",
    "+99999d",
    "sqlite:///",
    "sqlite:///{folder}",
    "postgresql://a:b@[::1",
    "http://[::1",
    "http://user:pa ss@host:99999/v1",
    "[",
    "{",
    "(" * 5000,
    "~",
    "campaign",
    "pass-9999-smoke",
)
PATHS = (
    "/",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/stdin",
    "/proc/self/mem",
    "/proc/self/environ",
    "/nonexistent/nowhere",
    "{file}",
    "{file}/below",
    "{folder}",
    "{empty}",
    "{binary}",
    "{text}",
    "{deep}",
    "{huge}",
    "{fifo}",
    "{socket}",
    "{loop}",
    "{dangling}",
    "{readonly}",
)
VALUES = (*NUMBERS, *TEXTS, *PATHS)


def lay_out(folder: Path) -> dict[str, str]:
    """What the paths of the table name, in a folder."""
    at = {name: folder / name for name in ("file", "folder", "empty", "binary", "text", "deep", "huge", "fifo")}
    at |= {name: folder / name for name in ("socket", "loop", "dangling", "readonly")}
    at["file"].write_text("{}")
    at["folder"].mkdir()
    at["empty"].touch()
    at["binary"].write_bytes(bytes(range(256)) * 8)
    at["text"].write_text("\ufeffa: [1, 2\n'\t&a *a !!python/object:os.system {}\n")
    at["deep"].write_text("[" * 100_000)
    with at["huge"].open("wb") as huge:
        huge.truncate(1 << 33)
    os.mkfifo(at["fifo"])
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(at["socket"]))
    at["loop"].symlink_to(at["loop"])
    at["dangling"].symlink_to(folder / "nothing")
    at["readonly"].write_text("[organ]\n")
    at["readonly"].chmod(0o400)
    return {name: str(path) for name, path in at.items()}


def spelled(value: str, places: dict[str, str]) -> str:
    """A value of the table, with the names of the files that it means."""
    for name, path in places.items():
        value = value.replace(f"{{{name}}}", path)
    return value
