"""`autosurgeon restore`: the memory rebuilt from the logs, or a workspace from a backup."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autosurgeon.cli.options import ConfigOption, JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.core.person import PersonAct
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.loop.memory.restore_memory import Report


def restore(
    workspace: WorkspaceOption = Path("."),
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Proceed although the logs prove less than a checkpoint or live.json.")
    ] = False,
    source: Annotated[
        Path | None, typer.Option("--from", help="A file of `backup`, unpacked into an empty folder.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Reason; recorded in the chain.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rebuild a lost, old or damaged memory from the logs as far as they prove it; refused while a loop runs.

    Existing files are moved aside, not deleted. The next run measures bench results again that neither the logs nor the
    old database hold.
    """
    from autosurgeon.cli.acts import own_act
    from autosurgeon.cli.render import print_json, say
    from autosurgeon.cli.view import counting
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.errors import UserError
    from autosurgeon.loop.memory.restore_memory import restore as rebuild
    from autosurgeon.wiring import settings_of

    if source is not None and accept_loss:
        raise UserError("a backup is complete and needs no --accept-loss", got="--from with --accept-loss")
    place = Workspace(workspace.resolve())
    act = own_act("restore", reason)
    if source is not None:
        _unpack(source, place, act, as_json=as_json)
        return
    where = settings_of(workspace, config).store.url or place.database
    with counting("entries") as progress:
        found = rebuild(place, where, act, accept_loss=accept_loss, progress=progress)
    if as_json:
        print_json(_as_json(found))
        return
    for line in _lines(found, place):
        say(line)


def _unpack(source: Path, place: Workspace, act: PersonAct, *, as_json: bool) -> None:
    from autosurgeon.cli.render import print_json, say
    from autosurgeon.cli.view import counting
    from autosurgeon.loop.memory.unpack_backup import unpack

    with counting("bytes") as progress:
        contents, memory, notes = unpack(source, place.root, act, progress)
    if as_json:
        print_json(contents.model_dump(mode="json", exclude={"files"}) | {"memory": memory, "notes": list(notes)})
        return
    live = f"live version {contents.live_version}" if contents.live_version else "no live version"
    say(f"{place.root}: {contents.entries} entries, {live}, as of {contents.at}; the memory is {memory}")
    for note in notes:
        say(f"not verified: {note}")
    for digest in contents.without_weights:
        word = "the live pack" if digest == contents.live_pack else "a pack"
        say(f"missing: the weights of {word}; restore {place.packs / digest}, then `autosurgeon pack verify`")
    if not any(name.startswith("data/keys/") for name in contents.files):
        say("missing: signing keys; see `autosurgeon audit rotate-key`")


def _as_json(found: Report) -> dict[str, Any]:
    restored = found.restored
    return {
        "restored": restored is not None,
        "why": found.why,
        "entries": found.entries,
        "source": found.source,
        "live": {"version": found.live.version, "pack": found.live.pack} if found.live else None,
        "live_damage": found.live_damage or None,
        "rows": restored.counts if restored else {},
        "missing": restored.missing if restored else {},
        "reduced": restored.reduced if restored else {},
        "unmeasured": list(restored.lacking) if restored else [],
        "aside": [str(path) for path in found.aside],
        "notes": list(found.notes),
    }


def _lines(found: Report, place: Workspace) -> list[str]:
    live = found.live
    shown = f"live version {live.version}, pack {live.pack[:12]}" if live else "no live version"
    restored = found.restored
    if restored is None:
        return [f"the memory is intact: {found.entries} entries, {shown}; nothing was restored"]
    lines = [f"the memory was restored, since {found.why}: {found.entries} entries of {found.source}, {shown}"]
    lines += [f"the live pack is damaged: {found.live_damage}; the next run reverts it"] if found.live_damage else []
    there = ", ".join(f"{count} of {table}" for table, count in restored.counts.items() if count)
    lines.append(f"restored rows: {there}")
    lines += [f"not restored: {count} rows of {table}" for table, count in restored.missing.items() if count]
    lines += [f"restored in part: {count} rows of {table}" for table, count in restored.reduced.items() if count]
    if restored.lacking:
        scopes = ", ".join(restored.lacking[:8]) + (", ..." if len(restored.lacking) > 8 else "")
        lines.append(f"without bench results: {scopes}; the next run measures base and live again")
    lines += list(found.notes)
    lines += [f"kept aside: {path}" for path in found.aside]
    return [*lines, f"next: `autosurgeon audit verify` and `autosurgeon run`, with --workspace {place.root}"]
