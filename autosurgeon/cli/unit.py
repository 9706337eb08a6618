"""Text of a systemd unit and of a logrotate stanza: what the loop needs of the machine, each line with its reason."""

from __future__ import annotations

import grp
import os
import pwd
import re
import sys
from pathlib import Path
from typing import NamedTuple

from autosurgeon import __version__
from autosurgeon.errors import EXITS, ExitCode, UserError

RESTART_S = 60
STARTS = 5
CLEAN = (ExitCode.DONE, ExitCode.INTERRUPTED)
FINAL = tuple(code for code, meant in EXITS.items() if meant.restarts is False and code not in CLEAN)
"""Failures that no restart mends."""
ABORT_S = 60
STOP_MARGIN_S = 600
TASKS = 1024
"""Processes and threads of everything but candidates."""
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))
INHERITED = ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "PYTHONPATH")
"""What a run takes from the shell besides AUTOSURGEON_…, and a service does not see."""
_PLAIN = re.compile(r"[\w@+=:,./-]+")
_USER = re.compile(r"[A-Za-z_][\w.-]*\$?|[0-9]+")


class Unit(NamedTuple):
    """What differs from service to service; paths are absolute."""

    workspace: Path
    arguments: tuple[str, ...]
    """What follows `autosurgeon`."""
    user: str
    memory_gib: float
    watchdog_s: int
    capsule_s: int
    """A capsule's limit."""
    candidate_threads: int
    """Threads that graded programs may have at once."""
    writes: tuple[Path, ...] = ()
    """What it writes besides the workspace."""
    reads: tuple[Path, ...] = ()
    """What it has to see besides the workspace."""


def quoted(word: str) -> str:
    """A word as systemd reads it back; UserError where a control character or a backslash is in it."""
    if not word.isprintable() or "\\" in word:
        raise UserError("a control character or a backslash cannot stand in a unit", got=repr(word))
    word = word.replace("%", "%%")
    return word if _PLAIN.fullmatch(word) else '"' + word.replace('"', '\\"') + '"'


def render(unit: Unit) -> str:
    """The unit's text."""
    if not _USER.fullmatch(unit.user):
        raise UserError("this is no user's name", got=repr(unit.user), wanted="--user NAME")
    if set(sys.executable) & set("\"'"):
        raise UserError("systemd starts no program with a quotation mark in its path", got=sys.executable)
    # A colon: dollar signs are no variables. -P: no module is taken from the workspace.
    command = [quoted(f":{sys.executable}"), *map(quoted, ("-P", "-m", "autosurgeon", *unit.arguments))]
    in_sight = (unit.workspace, Path(sys.prefix), Path(__file__).resolve(), *unit.writes, *unit.reads)
    is_private = not any(path.is_relative_to(place) for path in in_sight for place in TEMPORARY)
    writable = [quoted(str(unit.workspace)), *(quoted(f"-{path}") for path in unit.writes)]
    writable += [] if is_private else map(str, TEMPORARY)
    folder = str(unit.workspace)
    quoted(folder)  # refused there as everywhere
    return _TEXT.format(
        version=__version__,
        folder=folder.replace("%", "%%"),
        mount=quoted(folder),
        interval_s=2 * STARTS * (unit.watchdog_s + RESTART_S),
        starts=STARTS,
        user=unit.user,
        command=" ".join(command),
        missing=_missing(),
        watchdog_s=unit.watchdog_s,
        restart_s=RESTART_S,
        final=" ".join(map(str, FINAL)),
        store=ExitCode.STORE,
        world=ExitCode.WORLD,
        interrupted=ExitCode.INTERRUPTED,
        reasons="\n".join(f"# {code}: {EXITS[code].meaning}" for code in FINAL),
        stop_s=unit.capsule_s + STOP_MARGIN_S,
        abort_s=ABORT_S,
        memory_mib=int(unit.memory_gib * 1024),
        tasks=TASKS + unit.candidate_threads,
        private="yes" if is_private else "no",
        writable=" ".join(writable),
    )


def _missing() -> str:
    """A comment that names what is set in this shell and would not be in the service; values may be secrets."""
    names = sorted(
        name
        for name in os.environ
        if name in INHERITED or (name.startswith("AUTOSURGEON_") and name != "AUTOSURGEON_WORKSPACE")
    )
    if not names:
        return ""
    told = "# Set in the shell that printed this and not here; `systemctl edit` adds Environment= or EnvironmentFile=:"
    return f"{told}\n#   {' '.join(names)}\n"


def logrotate_stanza(log: Path, user: str) -> str:
    """What logrotate needs to know of the log of operations, whose folder is the user's and the user's group's."""
    try:
        group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError as error:
        raise UserError("there is no such user here", got=repr(user), wanted="--user NAME") from error
    path = str(log)
    if not path.isprintable() or any(sign in path for sign in '"\\*?['):
        raise UserError("this path cannot stand in a file of logrotate's", got=repr(path))
    return _LOGROTATE.format(path=path, user=user, group=group)


_TEXT = """\
# By autosurgeon {version}. Save it as /etc/systemd/system/autosurgeon.service, then
#   systemctl daemon-reload && systemctl enable --now autosurgeon
[Unit]
Description=autosurgeon on {folder}
RequiresMountsFor={mount}
Wants=network-online.target
After=network-online.target postgresql.service
# Long enough that a loop which hangs at every start uses its starts up too.
StartLimitIntervalSec={interval_s}
StartLimitBurst={starts}

[Service]
Type=notify
NotifyAccess=main
User={user}
WorkingDirectory={folder}
ExecStart={command}
{missing}TimeoutStartSec=300

# The loop's own thread beats, so one that hangs is killed and started again; what hung is told in the journal.
WatchdogSec={watchdog_s}
WatchdogSignal=SIGABRT
Environment=PYTHONFAULTHANDLER=1
TimeoutAbortSec={abort_s}
# A core would hold the signing key.
LimitCORE=0

# Crashes, kills, the watchdog, a store ({store}) and a world ({world}) that failed are tried again; the next start goes
# on where it was. Not so these exit codes, nor {interrupted}, somebody who interrupted twice:
{reasons}
Restart=on-failure
RestartSec={restart_s}
RestartPreventExitStatus={final}
SuccessExitStatus={interrupted}

# A stop lets the running stage end: the limit of a capsule, and what is graded after it. Then all of it is killed, and
# the stage is run again at the next start. To end at once: `systemctl kill --kill-whom=main --signal=SIGINT`, twice.
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec={stop_s}

# All processes together. Where that is too little, the kernel kills the largest, a capsule; the loop notes it, goes on.
Delegate=yes
MemoryMax={memory_mib}M
OOMPolicy=continue
TasksMax={tasks}

# Nothing but the workspace can be written. What is left out here is left out for a reason:
# - RestrictNamespaces, ProtectKernelTunables, SystemCallFilter: bubblewrap makes user namespaces and forbids more of
#   them through /proc/sys/user; without that the loop would take a weaker jail
# - PrivateDevices, DeviceAllow and what implies it (ProtectClock), MemoryDenyWriteExecute: CUDA needs /dev/nvidia* and
#   compiles at run time. NoNewPrivileges keeps nvidia-modprobe from making them: have nvidia-persistenced do it
# - ProtectControlGroups: see Delegate. ProtectHome: interpreter and workspace may lie in a home
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={writable}
PrivateTmp={private}
RestrictSUIDSGID=yes
LockPersonality=yes

[Install]
WantedBy=multi-user.target
"""

_LOGROTATE = """\
# Save it as /etc/logrotate.d/autosurgeon. The loop opens the new file by itself; nothing is signalled or copied.
# decisions.jsonl, events.jsonl and checkpoints/ beside it are the record that `autosurgeon audit verify` reads: never
# rotate those.
"{path}" {{
    su {user} {group}
    weekly
    maxsize 64M
    rotate 8
    compress
    delaycompress
    missingok
    notifempty
    nocreate
}}
"""
