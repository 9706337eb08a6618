"""`autosurgeon doctor`: checks of everything that a run needs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.options import ConfigOption, JsonOption, WorkspaceOption
from autosurgeon.cli.packages import check_packages
from autosurgeon.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autosurgeon.cli.checks import Check, Finding
    from autosurgeon.config import Settings


def doctor(
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
    failpoints: Annotated[bool, typer.Option("--failpoints", help="List the failpoints for tests, and exit.")] = False,
    notify: Annotated[
        bool, typer.Option("--notify", help="Also send a test through [notify], as `notify test` does.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check this machine, the jail and everything that the settings name; exit code 15 if a check fails."""
    if failpoints:
        _list_failpoints(as_json)
        return
    check_packages()
    from autosurgeon.cli.checks import try_check
    from autosurgeon.cli.render import print_json, print_table
    from autosurgeon.wiring import settings_of

    settings = settings_of(workspace, config)
    findings = [try_check(check) for check in _checks(workspace, settings)]
    findings += _notified(workspace, settings) if notify else []
    findings += _jail(settings)
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        rows = [(finding.check, "passed" if finding.ok else "failed", finding.found) for finding in findings]
        print_table("doctor", ("check", "result", "found"), rows)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(ExitCode.FINDING)


def _checks(workspace: Path, settings: Settings) -> Iterator[Check]:
    """Yield the checks of this machine and of everything that the settings name."""
    from autosurgeon.cli.checks import Check
    from autosurgeon.cli.doctor_prospects import check_prospects
    from autosurgeon.cli.doctor_settings import check_settings

    yield Check("interpreter", _interpreter)
    yield from check_settings(workspace, settings)
    yield check_prospects(workspace, settings)
    yield Check("memory", lambda: _memory(settings.capsule.memory_gib))
    yield Check("workspace", lambda: _workspace(workspace))
    yield Check("signing key", lambda: _signing_key(workspace, settings))
    yield Check("disk", lambda: _disk(workspace, settings.loop.min_free_mib))
    yield Check("capsules' end", _capsules_end)


def _notified(workspace: Path, settings: Settings) -> list[Finding]:
    """Send a test document through each channel."""
    from autosurgeon.cli.checks import Finding
    from autosurgeon.cli.notify import describe_delivery
    from autosurgeon.loop.engine.notify import send_test

    ends = send_test(settings.notify, workspace)
    return [Finding(f"notify test: {end.channel}", end.ok, describe_delivery(end)) for end in ends]


def _jail(settings: Settings) -> list[Finding]:
    """Check each promise of the jail; a single finding if the jail of the settings does not work."""
    from autosurgeon.bench.jail_selfcheck import check_jail
    from autosurgeon.cli.checks import Finding
    from autosurgeon.errors import AutosurgeonError

    try:
        # Without a deadline: the programs have limits of their own.
        return [Finding(f"jail: {promise}", holds, seen) for promise, holds, seen in check_jail(settings.grading)]
    except (AutosurgeonError, OSError) as error:
        return [Finding("jail: level", False, " ".join(str(error).split()))]


def _list_failpoints(as_json: bool) -> None:
    from autosurgeon.cli.render import print_json, print_table
    from autosurgeon.failpoints import ACTIONS, FAILPOINTS, VARIABLE

    if as_json:
        print_json([{"failpoint": name, "where": where} for name, where in FAILPOINTS.items()])
        return
    print_table(f"{VARIABLE}=name:{'|'.join(ACTIONS)}[:n]", ("failpoint", "where"), list(FAILPOINTS.items()))


def _interpreter() -> str:
    return f"Python {sys.version.split()[0]} on {sys.platform}"


def _memory(limit_gib: float) -> str:
    total_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    found = f"{total_gib:.0f} GiB; a capsule may use {limit_gib:g} GiB (setting capsule.memory_gib)"
    return found if limit_gib <= total_gib else f"{found}, more than there is, so the kernel would kill it"


def _capsules_end() -> str:
    from autosurgeon.runner.cgroup import make_cgroup, own_cgroup, remove_cgroup

    own = own_cgroup()
    group = make_cgroup(own)
    if group is None:
        return (
            "no delegated cgroup v2: the fork server kills a capsule's child processes; if it is killed too, "
            "only the capsule's own process ends (systemd-run --user --scope -p Delegate=yes gives a cgroup)"
        )
    remove_cgroup(group)
    return f"each capsule has its own cgroup below {own} and is killed as a whole"


def _workspace(root: Path) -> str:
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.store.place import refuse_read_only

    refuse_read_only(Workspace(root.resolve()))
    return f"{root.resolve()} can be written"


def _signing_key(root: Path, settings: Settings) -> str:
    """Check that the key in force can sign; UserError where it is missing, damaged or a different one."""
    from autosurgeon.audit.keys import load_signer
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.wiring import open_store

    place, none_yet = Workspace(root.resolve()), "none yet; the first checkpoint creates it"
    if settings.store.url is None and not place.database.is_file():
        return none_yet
    with open_store(root) as store:
        signer = load_signer(place, store)
    return none_yet if signer is None else f"key {signer.public_key.keyid[:16]} signs the checkpoints"


def _disk(workspace: Path, wanted_mib: int) -> str:
    from autosurgeon.errors import UserError

    folder = next(path for path in (workspace.resolve(), *workspace.resolve().parents) if path.exists())
    free_mib = shutil.disk_usage(folder).free >> 20
    if free_mib < wanted_mib:
        raise UserError("the disk is nearly full", got=f"{free_mib} MiB free", wanted=wanted_mib, where=folder)
    return f"{free_mib} MiB free"
