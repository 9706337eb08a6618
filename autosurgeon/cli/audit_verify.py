"""`autosurgeon audit verify`: verification of the record, and its first faulty entry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autosurgeon.cli.options import JsonOption, WorkspaceOption
from autosurgeon.errors import ExitCode


def verify_chain(
    workspace: WorkspaceOption = Path("."),
    against: Annotated[
        Path | None, typer.Option("--against", help="An external checkpoint, which reveals a cut or rewritten chain.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify the chain of events and compare decisions, logs and checkpoints with it; exit code 15 on a fault."""
    from autosurgeon.audit.verify import verify
    from autosurgeon.cli.render import one_line, print_json, say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.wiring import open_store

    with open_store(workspace, unchecked=True) as store:
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
            say(f"not whole: the first fault is at {found.first.where} of {found.size}")
        else:
            say(f"whole: {found.size} entries, {found.checkpoints} checkpoints, head {found.head[:16]}")
            if not found.checkpoints:
                say("nothing is signed yet, so a cut or rewritten chain cannot be detected")
        for unvouched in found.unvouched:
            say(unvouched.words)
    if not found.whole:
        raise typer.Exit(ExitCode.FINDING)
