"""`autosurgeon backup`: a consistent copy of everything that cannot be recomputed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autosurgeon.cli.options import ConfigOption, JsonOption, WorkspaceOption


def backup(
    file: Annotated[Path, typer.Argument(help="The archive, a new file.")],
    packs: Annotated[
        bool, typer.Option("--packs", help="Include the packs' weights, not only their manifests.")
    ] = False,
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write memory, logs, checkpoints, keys, live.json, pins and settings into one archive, also while a loop runs.

    The archive holds the private key and is readable only by its owner. `restore --from FILE` turns it into a
    workspace.
    """
    from autosurgeon.cli.render import print_json, say
    from autosurgeon.cli.view import counting
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.loop.memory.backup import backup as write
    from autosurgeon.wiring import settings_of

    place = Workspace(workspace.resolve())
    where = settings_of(workspace, config).store.url or place.database
    with counting("copied") as progress:
        contents = write(place, where, file, with_packs=packs, progress=progress)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size} | contents.model_dump(mode="json", exclude={"files"}))
        return
    live = f"live version {contents.live_version}" if contents.live_version else "no live version"
    say(f"{file}: {size} bytes, {contents.entries} entries, {live}")
    if contents.without_weights:
        names = ", ".join(digest[:12] for digest in contents.without_weights[:8])
        say(f"without the weights of {len(contents.without_weights)} packs ({names}); copy data/packs, or use --packs")
