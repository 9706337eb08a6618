"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the policy; again for more.")
]
