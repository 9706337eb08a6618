"""The text of the systemd unit and the logrotate stanza, with a reason for each line."""

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
"""Failures that a restart does not fix."""
ABORT_S = 60
STOP_MARGIN_S = 600
TASKS = 1024
"""Processes and threads, without those of candidates."""
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))
INHERITED = ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "PYTHONPATH")
"""Variables besides AUTOSURGEON_… that a run inherits from the shell and a service does not."""
_PLAIN = re.compile(r"[\w@+=:,./-]+")
_USER = re.compile(r"[A-Za-z_][\w.-]*\$?|[0-9]+")


class Unit(NamedTuple):
    """The values of a service; paths are absolute."""

    workspace: Path
    arguments: tuple[str, ...]
    """The arguments after `autosurgeon`."""
    user: str
    memory_gib: float
    watchdog_s: int
    capsule_s: int
    """A capsule's time limit."""
    candidate_threads: int
    """The maximum number of threads of graded programs."""
    writes: tuple[Path, ...] = ()
    """Written paths besides the workspace."""
    reads: tuple[Path, ...] = ()
    """Read paths besides the workspace."""


def quoted(word: str) -> str:
    """Quote a word for systemd; UserError for a control character or a backslash."""
    if not word.isprintable() or "\\" in word:
        raise UserError("a unit cannot contain a control character or a backslash", got=repr(word))
    word = word.replace("%", "%%")
    return word if _PLAIN.fullmatch(word) else '"' + word.replace('"', '\\"') + '"'


def render(unit: Unit) -> str:
    """Return the unit's text."""
    if not _USER.fullmatch(unit.user):
        raise UserError("this is not a user name", got=repr(unit.user), wanted="--user NAME")
    if set(sys.executable) & set("\"'"):
        raise UserError("systemd cannot start a program with a quotation mark in its path", got=sys.executable)
    # The colon disables variables; -P imports no module from the workspace.
    command = [quoted(f":{sys.executable}"), *map(quoted, ("-P", "-m", "autosurgeon", *unit.arguments))]
    in_sight = (unit.workspace, Path(sys.prefix), Path(__file__).resolve(), *unit.writes, *unit.reads)
    is_private = not any(path.is_relative_to(place) for path in in_sight for place in TEMPORARY)
    writable = [quoted(str(unit.workspace)), *(quoted(f"-{path}") for path in unit.writes)]
    writable += [] if is_private else map(str, TEMPORARY)
    folder = str(unit.workspace)
    quoted(folder)  # raises for an invalid path
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
    """Return a comment that names this shell's variables that the service lacks; values may be secrets."""
    names = sorted(
        name
        for name in os.environ
        if name in INHERITED or (name.startswith("AUTOSURGEON_") and name != "AUTOSURGEON_WORKSPACE")
    )
    if not names:
        return ""
    heading = "# Set in this shell, not in the service; `systemctl edit` adds Environment= or EnvironmentFile=:"
    return f"{heading}\n#   {' '.join(names)}\n"


def logrotate_stanza(log: Path, user: str) -> str:
    """Return the logrotate stanza of the operations log, whose folder belongs to the user and the user's group."""
    try:
        group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError as error:
        raise UserError("there is no such user", got=repr(user), wanted="--user NAME") from error
    path = str(log)
    if not path.isprintable() or any(sign in path for sign in '"\\*?['):
        raise UserError("a logrotate file cannot contain this path", got=repr(path))
    return _LOGROTATE.format(path=path, user=user, group=group)


_TEXT = """\
# Made by autosurgeon {version}. Save it as /etc/systemd/system/autosurgeon.service, then
#   systemctl daemon-reload && systemctl enable --now autosurgeon
[Unit]
Description=autosurgeon on {folder}
RequiresMountsFor={mount}
Wants=network-online.target
After=network-online.target postgresql.service
# Long enough that a loop that hangs at every start also uses up its starts.
StartLimitIntervalSec={interval_s}
StartLimitBurst={starts}

[Service]
Type=notify
NotifyAccess=main
User={user}
WorkingDirectory={folder}
ExecStart={command}
{missing}TimeoutStartSec=300

# The loop's main thread sends the heartbeat, so a loop that hangs is restarted; the journal shows where it hung.
WatchdogSec={watchdog_s}
WatchdogSignal=SIGABRT
Environment=PYTHONFAULTHANDLER=1
TimeoutAbortSec={abort_s}
# A core dump would contain the signing key.
LimitCORE=0

# A crash, a kill, the watchdog, a failed store ({store}) or an external failure ({world}) restarts the loop, which
# continues where it was. These exit codes do not, nor does {interrupted}, two interrupts by a person:
{reasons}
Restart=on-failure
RestartSec={restart_s}
RestartPreventExitStatus={final}
SuccessExitStatus={interrupted}

# A stop waits for the running stage: the limit of a capsule and the grading after it. Then everything is killed, and
# the next start runs the stage again. To end at once: `systemctl kill --kill-whom=main --signal=SIGINT`, twice.
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec={stop_s}

# For all processes together. If it is exceeded, the kernel kills the largest, a capsule; the loop records it and
# continues.
Delegate=yes
MemoryMax={memory_mib}M
OOMPolicy=continue
TasksMax={tasks}

# Only the workspace can be written. These protections are left out for a reason:
# - RestrictNamespaces, ProtectKernelTunables, SystemCallFilter: bubblewrap creates user namespaces and forbids more of
#   them through /proc/sys/user; otherwise the loop uses a weaker jail
# - PrivateDevices, DeviceAllow and what implies it (ProtectClock), MemoryDenyWriteExecute: CUDA needs /dev/nvidia* and
#   compiles at run time. NoNewPrivileges keeps nvidia-modprobe from creating them: use nvidia-persistenced
# - ProtectControlGroups: see Delegate. ProtectHome: interpreter and workspace may be in a home folder
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
# Save it as /etc/logrotate.d/autosurgeon. The loop opens the new file on its own; no signal or copy is needed.
# Never rotate decisions.jsonl, events.jsonl and checkpoints/ next to it: they are the record that `autosurgeon audit
# verify` reads.
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
