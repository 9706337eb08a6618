"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def encodable(text: str) -> str:
    """Replace characters of a reason that UTF-8 cannot encode."""
    from autosurgeon.core.person import spelled

    return str(spelled(text))


WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", "-w", envvar="AUTOSURGEON_WORKSPACE", help="Folder with the data/ and logs/ of a run."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file; the workspace's autosurgeon.toml when empty.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Reason; kept in the record.", callback=encodable)]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the policy; repeatable.")
]
