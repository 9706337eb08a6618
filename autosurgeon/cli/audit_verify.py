"""`autosurgeon audit verify`: whether the log is whole, and the first bad entry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autosurgeon.cli.options import JsonOption, WorkspaceOption
from autosurgeon.errors import ExitCode


def verify_chain(
    workspace: WorkspaceOption = Path("."),
    against: Annotated[
        Path | None, typer.Option("--against", help="A checkpoint from elsewhere: it shows a cut or a rewritten chain.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Walk the chain of events and hold decisions, logs and checkpoints against it; exit code 15 if it is not whole."""
    from autosurgeon.audit.verify import verify
    from autosurgeon.cli.render import one_line, print_json, say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.wiring import open_store

    with open_store(workspace, as_it_is=True) as store:
        found = verify(Workspace(workspace.resolve()), store, against)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        for finding in found.findings:
            subject = f" ({one_line(finding.subject)})" if finding.subject else ""
            say(f"{finding.source}, {finding.where}{subject}: {finding.what}")
            say(f"  got {one_line(finding.got)}; wanted {one_line(finding.wanted)}")
            say(f"  next: {finding.todo}")
        if found.first is not None:
            say(f"not whole: the first bad is {found.first.where}, of {found.size} walked")
        else:
            say(f"whole: {found.size} entries, {found.checkpoints} checkpoints, head {found.head[:16]}")
            if not found.checkpoints:
                say("nothing was signed yet, so a chain that was cut short or rewritten cannot be told from this one")
        for unvouched in found.unvouched:
            say(unvouched.words)
    if not found.whole:
        raise typer.Exit(ExitCode.FINDING)
