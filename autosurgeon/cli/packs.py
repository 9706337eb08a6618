"""`autosurgeon pack`: the weights that were made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.options import ConfigOption, JsonOption, WorkspaceOption

if TYPE_CHECKING:
    pass

app = typer.Typer(
    no_args_is_help=True, help="The packs of a workspace: what they are, whether they are whole, which is live."
)
DigestArgument = Annotated[str, typer.Argument(help="The pack's digest, or its first digits.")]


@app.command("list")
def list_packs(workspace: WorkspaceOption = Path("."), as_json: JsonOption = False) -> None:
    """List every pack, oldest first, with the live versions that it had."""
    from autosurgeon.cli.render import print_json, print_table
    from autosurgeon.wiring import open_store

    with open_store(workspace) as store:
        packs, history = store.packs(), store.live_history()
    live = history[-1].pack if history else None
    versions = {m.digest: [v.version for v in history if v.pack == m.digest] for m, _, _ in packs}
    if as_json:
        print_json(
            [
                {
                    "digest": manifest.digest,
                    "parent": manifest.lineage.parent,
                    "pass": number,
                    "made_at": at,
                    "bytes": sum(file.bytes for file in manifest.files.values()),
                    "live_versions": versions[manifest.digest],
                    "live": manifest.digest == live,
                }
                for manifest, number, at in packs
            ]
        )
        return
    rows = [
        (
            manifest.digest[:12],
            (manifest.lineage.parent or "")[:12],
            "base" if number is None else number,
            ", ".join(map(str, versions[manifest.digest])),
            "live" if manifest.digest == live else "",
            at,
        )
        for manifest, number, at in packs
    ]
    print_table("packs", ("pack", "parent", "pass", "live versions", "", "made"), rows)


@app.command("show")
def show_pack(digest: DigestArgument, workspace: WorkspaceOption = Path("."), as_json: JsonOption = False) -> None:
    """Show one pack: its files, where it came from, and what it won."""
    from autosurgeon.cli.render import print_json, print_table, say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.loop.status import tally
    from autosurgeon.packs.packstore import PackStore
    from autosurgeon.wiring import open_store

    with open_store(workspace) as store:
        name = store.find_pack(digest)
        wins = tally(store.envelopes(name))
    manifest = PackStore(Workspace(workspace.resolve()).packs).manifest(name)
    if as_json:
        print_json({"digest": name, "manifest": manifest.model_dump(mode="json"), "wins": wins})
        return
    say(f"pack {name}")
    say(f"parent: {manifest.lineage.parent or 'none: an imported base'}")
    files = [(file, packed.bytes, packed.sha256[:16]) for file, packed in manifest.files.items()]
    print_table("files", ("file", "bytes", "sha256"), files)
    rows = [
        (bench, split, cell["wins"], cell["tasks"]) for bench, splits in wins.items() for split, cell in splits.items()
    ]
    print_table("wins", ("bench", "split", "wins", "tasks"), rows)


@app.command("verify")
def verify_pack(
    digest: Annotated[
        str | None, typer.Argument(help="The pack's digest, or its first digits; all when empty.")
    ] = None,
    workspace: WorkspaceOption = Path("."),
) -> None:
    """Read packs back, byte for byte, against their manifests; exit code 2 names the first damage."""
    from autosurgeon.cli.render import say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.packs.packstore import PackStore
    from autosurgeon.wiring import open_store

    with open_store(workspace) as store:
        names = [store.find_pack(digest)] if digest else [manifest.digest for manifest, _, _ in store.packs()]
    packs = PackStore(Workspace(workspace.resolve()).packs)
    for name in names:
        packs.verify(name)
        say(f"{name[:12]} is whole")


@app.command("revert")
def revert_pack(
    reason: Annotated[str, typer.Option("--reason", help="Why; written into the decision.")],
    to: Annotated[str | None, typer.Option("--to", help="Pack to go back to; the last good one when empty.")] = None,
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
) -> None:
    """Make an earlier pack live again, as a new live version with its own decision."""
    from autosurgeon.cli.logs import logging_to
    from autosurgeon.cli.view import reporting
    from autosurgeon.errors import UserError
    from autosurgeon.loop.brakes import Brakes
    from autosurgeon.loop.watch import revert
    from autosurgeon.wiring import open_store, operating_theatre, settings_of

    with open_store(workspace) as store:
        live = store.live()
        target = store.find_pack(to) if to else None
    if live is None or live.pack == target:
        raise UserError("there is nothing to revert", got="no live pack" if live is None else "the pack that is live")
    with (
        reporting() as reporter,
        operating_theatre(workspace, settings_of(workspace, config), reporter, Brakes()) as ins,
        logging_to(ins.workspace.operations),
    ):
        if target is not None:
            ins.packs.verify(target)
        revert(ins, None, live.pack, reason, to=target)
