"""`autosurgeon audit export`: signed statements about packs that others can verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autosurgeon.cli.options import JsonOption, WorkspaceOption


def export_packs(
    out: Annotated[Path, typer.Option("--out", help="Folder for a bundle per pack and the public key.")],
    packs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PACK]...", help="Digests or their first digits; all packs when empty."),
    ] = None,
    workspace: WorkspaceOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Write signed in-toto statements about packs: their provenance, test results and policy decisions.

    Each pack gets a bundle PACK.intoto.jsonl with one DSSE envelope per line. Unknown statements are left out and
    listed.
    """
    from autosurgeon.audit.export_statements import export
    from autosurgeon.audit.mask import masked_summary
    from autosurgeon.cli.render import one_line, print_json, say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.wiring import masking_in, open_store

    with open_store(workspace) as store:
        chosen = [store.find_pack(prefix) for prefix in packs or ()]
        exports = export(Workspace(workspace.resolve()), store, out, masking_in(workspace), chosen)
    if as_json:
        print_json([one.model_dump(mode="json") for one in exports])
        return
    for one in exports:
        say(f"{one.pack[:12]}: {len(one.statements)} statements{f', {WROTE[one.wrote]}' if one.wrote else ''}")
        for left in one.left_out:
            say(f"  no {one_line(left['what'])}: {one_line(left['why'])}")
        if one.masked:
            say(f"  masked: {masked_summary(one.masked)}")


WROTE = {"new": "written", "again": "rewritten", "same": "unchanged"}
