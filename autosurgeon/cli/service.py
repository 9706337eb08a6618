"""`autosurgeon service`: the loop under systemd."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from autosurgeon.cli.options import ConfigOption, SetOption, WorkspaceOption

app = typer.Typer(no_args_is_help=True, help="The loop as a systemd service.")
OTHERS_GIB = 4
"""Memory of the controller and of the capsules' fork server."""


@app.callback()
def service() -> None:
    """Keep `print` a subcommand although it is the only one."""


@app.command("print")
def print_service(
    workspace: WorkspaceOption = Path("."),
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Policy file; the settings' policy when empty.")
    ] = None,
    params: SetOption = None,
    config: ConfigOption = None,
    user: Annotated[str | None, typer.Option("--user", help="The service's user; you when empty.")] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            "--memory", min=1, metavar="GIB", help="Memory limit of all processes; from the settings when empty."
        ),
    ] = None,
    watchdog: Annotated[
        int,
        typer.Option(
            "--watchdog", min=300, metavar="SECONDS", help="Time without a heartbeat after which it is restarted."
        ),
    ] = 600,
    logrotate: Annotated[bool, typer.Option("--logrotate", help="Print a logrotate stanza instead.")] = False,
) -> None:
    """Print a systemd unit for the loop on a workspace, for `/etc/systemd/system`; nothing is installed."""
    from autosurgeon.bench.jail import THREADS
    from autosurgeon.cli.unit import Unit, logrotate_stanza, render
    from autosurgeon.core.person import current_person
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.errors import UserError
    from autosurgeon.places import named_files
    from autosurgeon.policy.load import load_policy
    from autosurgeon.policy.params import parse_assignments
    from autosurgeon.wiring import settings_of

    place = Workspace(workspace.resolve())
    if not place.root.is_dir():
        raise UserError(
            "the workspace is not a folder, and the service cannot create it",
            wanted="`mkdir` it as the service's user",
            where=place.root,
        )
    name = user or current_person().login or str(os.getuid())
    if logrotate:
        print(logrotate_stanza(place.operations, name), end="")
        return
    settings = settings_of(workspace, config, policy=policy)
    load_policy(settings.policy_file, parse_assignments(params or ()))  # an error now is better than one at night
    workers, grading = settings.grading.workers or os.cpu_count() or 1, settings.grading
    # Programs are graded while no capsule runs.
    largest_gib = max(settings.capsule.memory_gib, workers * grading.memory_mib / 1024)
    copies = settings.audit.checkpoint_copy
    unit = Unit(
        workspace=place.root,
        arguments=_run_arguments(place.root, policy, config, params or ()),
        user=name,
        memory_gib=memory or math.ceil(largest_gib + OTHERS_GIB),
        watchdog_s=watchdog,
        capsule_s=math.ceil(settings.capsule.wall_s),
        candidate_threads=workers * THREADS,
        writes=(copies,) if copies is not None else (),
        reads=(settings.organ_folder, settings.policy_file, *named_files(settings)),
    )
    print(render(unit), end="")


def _run_arguments(root: Path, policy: Path | None, config: Path | None, assignments: Sequence[str]) -> tuple[str, ...]:
    files = [(flag, str(path.resolve())) for flag, path in (("--policy", policy), ("--config", config)) if path]
    values = [("--set", assignment) for assignment in assignments]
    return ("run", "--workspace", str(root), *itertools.chain.from_iterable([*files, *values]))
