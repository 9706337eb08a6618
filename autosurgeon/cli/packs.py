"""`autosurgeon pack`: the packs of a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from autosurgeon.cli.options import ConfigOption, JsonOption, ReasonOption, WorkspaceOption, encodable
from autosurgeon.cli.pack_export import export_pack
from autosurgeon.errors import ExitCode

app = typer.Typer(
    no_args_is_help=True,
    help="The packs of a workspace: list, verify, revert, remove, pin and export them.",
)
DigestArgument = Annotated[str, typer.Argument(help="The pack's digest, or its first digits.")]


@app.command("list")
def list_packs(workspace: WorkspaceOption = Path("."), as_json: JsonOption = False) -> None:
    """List every pack, oldest first, with its live versions and whether its weights are kept or gone."""
    from autosurgeon.cli.render import print_json, print_table
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.packs.packstore import PackStore
    from autosurgeon.packs.pins import read_pins
    from autosurgeon.wiring import open_store

    with open_store(workspace) as store:
        packs, history = store.packs(), store.live_history()
    place = Workspace(workspace.resolve())
    folders, pins = PackStore(place.packs), read_pins(place.pins)
    live = history[-1].pack if history else None
    records = [
        {
            "digest": (digest := manifest.digest),
            "parent": manifest.lineage.parent,
            "pass": number,
            "made_at": at,
            "bytes": sum(file.bytes for file in manifest.files.values()),
            "live_versions": [version.version for version in history if version.pack == digest],
            "live": digest == live,
            "weights": "kept" if folders.has_weights(digest) else "gone",
            "pinned": pins[digest].reason if digest in pins else None,
        }
        for manifest, number, at in packs
    ]
    if as_json:
        print_json(records)
    else:
        columns = ("pack", "parent", "pass", "live versions", "", "weights", "pinned", "made")
        print_table("packs", columns, [_row(record) for record in records])


def _row(record: dict[str, Any]) -> tuple[object, ...]:
    return (
        record["digest"][:12],
        (record["parent"] or "")[:12],
        "base" if record["pass"] is None else record["pass"],
        ", ".join(map(str, record["live_versions"])),
        "live" if record["live"] else "",
        record["weights"],
        record["pinned"],
        record["made_at"],
    )


@app.command("show")
def show_pack(digest: DigestArgument, workspace: WorkspaceOption = Path("."), as_json: JsonOption = False) -> None:
    """Show one pack: its files, its origin, its wins and its exports."""
    from autosurgeon.cli.render import one_line, print_json, print_table, say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.packs.packstore import PackStore
    from autosurgeon.packs.pins import read_pins
    from autosurgeon.wiring import open_store
    from autosurgeon.workspace_status import tally

    with open_store(workspace) as store:
        name = store.find_pack(digest)
        wins, exports = tally(store.envelopes(name)), store.exports(name)
    place = Workspace(workspace.resolve())
    packs, pin = PackStore(place.packs), read_pins(place.pins).get(name)
    manifest, weights = packs.manifest(name), "kept" if packs.has_weights(name) else "gone"
    if as_json:
        pinned = pin.model_dump(mode="json") if pin else None
        content = {"digest": name, "manifest": manifest.model_dump(mode="json"), "wins": wins}
        exported = [export.model_dump(mode="json") | {"at": at} for export, at in exports]
        print_json(content | {"weights": weights, "pinned": pinned, "exports": exported})
        return
    say(f"pack {name}")
    say(f"weights: {weights}" + (f"; pinned by {pin.by} since {pin.at}: {pin.reason}" if pin else ""))
    say(f"parent: {manifest.lineage.parent or 'none: an imported base'}")
    if manifest.lineage.merge_base is not None:
        say(f"trained on a quantized base, merged into its {manifest.lineage.merge_base} weights")
    if manifest.lineage.salvage is not None:
        say(f"made from the trained adapter by the salvage rung {manifest.lineage.salvage}")
    files = [(file, packed.bytes, packed.sha256[:16]) for file, packed in manifest.files.items()]
    print_table("files", ("file", "bytes", "sha256"), files)
    rows = [
        (bench, split, cell["wins"], cell["tasks"]) for bench, splits in wins.items() for split, cell in splits.items()
    ]
    print_table("wins", ("bench", "split", "wins", "tasks"), rows)
    if exports:
        shown = [(at, e.out, e.sha256 and e.sha256[:16], one_line(e.error or "")) for e, at in exports]
        print_table("exports", ("at", "file", "sha256", "error"), shown)


@app.command("verify")
def verify_pack(
    digest: Annotated[
        str | None, typer.Argument(help="The pack's digest or its first digits; all packs when empty.")
    ] = None,
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
) -> None:
    """Compare packs byte by byte with their manifests; exit code 15 if one is damaged.

    Without a digest, removed packs that retention does not keep are listed as gone; missing weights of other packs are
    damage.
    """
    from autosurgeon.cli.render import say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.errors import PackError
    from autosurgeon.loop.deploy.retention import reasons_to_keep
    from autosurgeon.packs.packstore import PackStore
    from autosurgeon.packs.pins import read_pins
    from autosurgeon.wiring import open_store, settings_of

    place = Workspace(workspace.resolve())
    packs = PackStore(place.packs)
    with open_store(workspace) as store:
        names = [store.find_pack(digest)] if digest else [manifest.digest for manifest, _, _ in store.packs()]
        kept = reasons_to_keep(store, read_pins(place.pins), settings_of(workspace, config).retention.keep_live)
    damaged = False
    for name in names:
        if digest is None and name not in kept and not packs.has_weights(name):
            say(f"{name[:12]} is gone")
            continue
        try:
            packs.verify(name)
        except PackError as error:
            damaged = True
            say(f"{name[:12]} is damaged: {error}")
        else:
            say(f"{name[:12]} is whole")
    if damaged:
        raise typer.Exit(ExitCode.FINDING)


@app.command("revert")
def revert_pack(
    reason: Annotated[str, typer.Option("--reason", help="Reason; written into the decision.", callback=encodable)],
    to: Annotated[str | None, typer.Option("--to", help="Pack to revert to; the last good one when empty.")] = None,
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
) -> None:
    """Make an earlier pack live again, as a new live version with a decision of its own."""
    from autosurgeon.cli.logs import logging_to
    from autosurgeon.cli.view import reporting
    from autosurgeon.core.person import current_person
    from autosurgeon.errors import UserError
    from autosurgeon.loop.decide.live import revert
    from autosurgeon.loop.engine.limits import Limits
    from autosurgeon.wiring import open_loop, open_store, settings_of

    with open_store(workspace, writes=True) as store:
        live = store.live()
        target = store.find_pack(to) if to else None
    if live is None or live.pack == target:
        raise UserError("there is nothing to revert", got="no live pack" if live is None else "the live pack")
    with (
        reporting() as reporter,
        open_loop(workspace, settings_of(workspace, config), reporter, Limits()) as ins,
        logging_to(ins.workspace.operations),
    ):
        if target is not None:
            ins.packs.verify(target)
        revert(ins, None, live.pack, reason, to=target, by=current_person())


@app.command("gc")
def collect_packs(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.")] = False,
    reason: ReasonOption = "",
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove the weights of packs, and adapters, that nothing keeps; refused while a loop runs on the workspace.

    The live pack, the last live packs before it (setting retention.keep_live), the base, pinned packs and every pack of
    an open pass are kept, with their adapters. Manifests and records of all packs stay.
    """
    from autosurgeon.cli.acts import own_act, try_to_record, warn_unrecorded
    from autosurgeon.cli.render import print_json, say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.loop.decide.settle import write_logs
    from autosurgeon.loop.deploy.retention import Freed, collect, collect_adapters
    from autosurgeon.packs.packstore import PackStore
    from autosurgeon.wiring import hold_workspace, settings_of

    place, gone = Workspace(workspace.resolve()), list[Freed]()
    word = "would be removed" if dry_run else "removed"

    def show(freed: Freed) -> None:
        gone.append(freed)
        if not as_json:
            say(f"{freed.pack[:12]}: {freed.bytes} bytes {word}")

    keep_live = settings_of(workspace, config).retention.keep_live
    with hold_workspace(workspace) as store:
        plan = list[Freed]()
        collect(store, PackStore(place.packs), place.pins, keep_live, removed=plan.append, dry_run=True)
        act = own_act("gc", reason, detail={"packs": [freed.pack for freed in plan]})
        # Recorded before the removal, so that an interrupted one is known.
        missing = "" if dry_run else try_to_record(store, act)
        total = collect(store, PackStore(place.packs), place.pins, keep_live, removed=show, dry_run=dry_run)
        adapters = collect_adapters(store, place.passes, place.pins, keep_live, dry_run=dry_run)
        # On a full disk, which may be the reason for the removal, the entry fits only now.
        missing = missing and try_to_record(store, act)
        if not dry_run and not missing:
            write_logs(place, store)
    warn_unrecorded(missing)
    if as_json:
        freed_adapters = [{"pass": freed.pack, "bytes": freed.bytes} for freed in adapters]
        freed_packs = [freed._asdict() for freed in gone]
        print_json({"dry_run": dry_run, "packs": freed_packs, "bytes": total, "pass_adapters": freed_adapters})
        return
    if adapters:
        size = sum(freed.bytes for freed in adapters)
        say(f"adapters of {len(adapters)} pass{'' if len(adapters) == 1 else 'es'}: {size} bytes {word}")
    say(f"{len(gone)} pack{'' if len(gone) == 1 else 's'}, {total} bytes {word}")


@app.command("pin")
def pin_pack(
    digest: DigestArgument,
    reason: Annotated[str, typer.Option("--reason", help="Reason; shown with the pack.", callback=encodable)],
    workspace: WorkspaceOption = Path("."),
) -> None:
    """Keep a pack's weights regardless of retention until it is unpinned."""
    from autosurgeon.cli.acts import own_act
    from autosurgeon.cli.render import say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.errors import UserError
    from autosurgeon.packs.packstore import PackStore
    from autosurgeon.packs.pins import Pin, read_pins, write_pins
    from autosurgeon.wiring import open_store

    if not reason.strip():
        raise UserError("a pin needs a reason", wanted="--reason TEXT")
    place = Workspace(workspace.resolve())
    with open_store(workspace, writes=True) as store:
        name = store.find_pack(digest)
        if not PackStore(place.packs).has_weights(name):
            raise UserError("a pack whose weights are gone cannot be pinned", got=name[:12])
        pins, act = read_pins(place.pins), own_act("pin", reason, pack=name)
        store.record_act(act)
    pin = Pin(pack=name, reason=act.reason, by=act.who.name, at=act.at)
    write_pins(place.pins, (pins | {name: pin}).values())
    say(f"{name[:12]} is pinned")


@app.command("unpin")
def unpin_pack(digest: DigestArgument, reason: ReasonOption = "", workspace: WorkspaceOption = Path(".")) -> None:
    """Let retention decide about a pack again."""
    from autosurgeon.cli.acts import own_act
    from autosurgeon.cli.render import say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.errors import UserError
    from autosurgeon.packs.pins import read_pins, write_pins
    from autosurgeon.wiring import open_store

    place = Workspace(workspace.resolve())
    with open_store(workspace, writes=True) as store:
        name, pins = store.find_pack(digest), read_pins(place.pins)
        if pins.pop(name, None) is None:
            raise UserError("that pack is not pinned", got=name[:12], wanted="see `autosurgeon pack list`")
        store.record_act(own_act("unpin", reason, pack=name))
    write_pins(place.pins, pins.values())
    say(f"{name[:12]} is no longer pinned")


app.command("export")(export_pack)
