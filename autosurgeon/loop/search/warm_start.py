"""Warm start: the proposer also learns from passes of other workspaces of the same organ.

They are read once, when a start first finds these workspaces named, and kept as a stage's output: so what is proposed
follows from this workspace's store alone, whatever becomes of the others.
"""

from __future__ import annotations

from pathlib import Path

from autosurgeon.config import CONFIG_FILE, load_settings
from autosurgeon.core.digest import digest_json
from autosurgeon.core.ports import Beat, no_beat
from autosurgeon.core.records import PassRecord
from autosurgeon.core.stage_results import ImportResult, WarmStartResult
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import StoreError, WorkspaceError
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.packs.checkpoint import organ_digest
from autosurgeon.sections import SearchSettings
from autosurgeon.store.sqlstore import SqlStore

SCOPE = "base"


def warm_start_passes(ins: Instruments) -> list[PassRecord]:
    """The passes of the workspaces that the settings name, oldest first in each; none where they name none.

    Raises:
        WorkspaceError: one of them is none, is this one, is damaged, or is of another organ.

    """
    known = kept_elsewhere(ins.store, ins.settings.search)
    if known is not None:
        return known
    # Outside of the stage: what is wrong with another workspace is for a person to mend, and no failure of the world.
    organ, search = ins.settings.organ_folder, ins.settings.search
    read = [read_elsewhere(ins.workspace, folder, organ, search, ins.beat) for folder in search.warm_start]
    # Without reasons, which may name tasks of the other workspace.
    found = WarmStartResult(passes=tuple(one.model_copy(update={"reason": ""}) for records in read for one in records))
    inputs = digest_json({"passes": [record.model_dump(mode="json") for record in found.passes]})
    once(ins, SCOPE, WarmStartResult, lambda _: Done(found), name=_stage_name(ins.settings.search), inputs=inputs)
    return list(found.passes)


def kept_elsewhere(store: SqlStore, search: SearchSettings) -> list[PassRecord] | None:
    """What was read of the workspaces named; None where that has not been done yet."""
    if not search.warm_start:
        return []
    result = store.stage_result(SCOPE, WarmStartResult, _stage_name(search))
    return None if result is None else list(result.passes)


def _stage_name(search: SearchSettings) -> str:
    return f"warm-start-{digest_json([str(folder.resolve()) for folder in search.warm_start])[:8]}"


def read_elsewhere(
    workspace: Workspace, folder: Path, organ: Path, search: SearchSettings, beat: Beat = no_beat
) -> list[PassRecord]:
    """The passes of another workspace that the proposer of this one learns from; nothing is written there.

    Args:
        workspace: this one.
        folder: the other one's.
        organ: this one's checkpoint, which has to be the other one's too.
        search: how many are remembered.
        beat: called while weights are read.

    Raises:
        WorkspaceError: there is none, it is this one, is damaged, of another schema, or of another organ.

    """
    if folder.resolve() == workspace.root.resolve():
        raise WorkspaceError("search.warm_start names this workspace, whose passes count anyway", where=folder)
    own = folder / CONFIG_FILE
    # Without the environment, which names this workspace's memory and not the other one's.
    settings = load_settings(own if own.is_file() else None, environment={})
    store = SqlStore(settings.store.url or Workspace(folder.resolve()).database, look_only=True)
    try:
        imported = store.stage_result(SCOPE, ImportResult)
        _refuse_other_organ(organ_digest(organ, beat), imported.organ if imported else None, folder)
        return store.remembered_passes(search.remembered_newest, search.remembered_best)
    except (StoreError, ValueError, LookupError) as error:
        why = error.__cause__ if isinstance(error, StoreError) else f"what does not parse: {type(error).__name__}"
        raise WorkspaceError("a workspace of search.warm_start is damaged", got=why, where=folder) from error
    finally:
        store.close()


def _refuse_other_organ(ours: str, theirs: str | None, folder: Path) -> None:
    if theirs != ours:
        raise WorkspaceError(
            "a workspace of search.warm_start is of another organ, whose passes say nothing of this one",
            got=f"weights {theirs[:12]}" if theirs else "no organ yet",
            wanted=ours[:12],
            where=folder,
        )
