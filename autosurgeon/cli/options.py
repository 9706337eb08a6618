"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def spelled_out(text: str) -> str:
    """A reason as the record can hold it: without what UTF-8 has no spelling for."""
    from autosurgeon.core.person import spelled

    return str(spelled(text))


WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", envvar="AUTOSURGEON_WORKSPACE", help="Folder that holds data/ and logs/ of a run."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file; the workspace's own autosurgeon.toml when empty.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the record.", callback=spelled_out)]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the policy; again for more.")
]
