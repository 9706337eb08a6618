"""The salvage ladder in the store: which rungs a pass tried, and which adapter is its own."""

from __future__ import annotations

import itertools
from pathlib import Path

from autosurgeon.core.pass_states import pass_scope
from autosurgeon.core.records import RungTried
from autosurgeon.core.stage_results import SalvageResult, TrainStageResult
from autosurgeon.core.workspace import Workspace
from autosurgeon.store.sqlstore import SqlStore


def stage_of(place: int) -> str:
    """The stage of a rung, by its place on the ladder from 1."""
    return f"salvage-{place}"


def rungs_of(store: SqlStore, number: int) -> tuple[RungTried, ...]:
    """The rungs that a pass came to, in their order; none where its adapter lost nothing or has no ladder."""
    found = []
    for place in itertools.count(1):
        result = store.stage_result(pass_scope(number), SalvageResult, stage_of(place))
        if result is None:
            break
        found.append(result.tried)
    return tuple(found)


def rungs_tried(store: SqlStore, number: int) -> int:
    """How many of them were smoked: each is a candidate more among which the pass chose."""
    return sum(not rung.skipped for rung in rungs_of(store, number))


def rung_of(store: SqlStore, number: int) -> str | None:
    """The rung that made a pass's adapter; None where it is as it was trained."""
    return next((rung.rung for rung in rungs_of(store, number) if rung.held), None)


def smoke_stage_of(store: SqlStore, number: int) -> str:
    """The stage in which a pass's anchors were run on what is its adapter now."""
    rungs = enumerate(rungs_of(store, number), start=1)
    return next((stage_of(place) for place, rung in rungs if rung.held), "smoke")


def adapter_of(store: SqlStore, workspace: Workspace, number: int) -> Path | None:
    """The folder of a pass's adapter: of the rung that held, or else as it was trained; None where nothing was."""
    for rung in rungs_of(store, number):
        if rung.held:
            return folder_of(workspace, number, rung)
    trained = store.stage_result(pass_scope(number), TrainStageResult)
    return None if trained is None else workspace.stage(pass_scope(number), "train") / trained.result.adapter


def folder_of(workspace: Workspace, number: int, rung: RungTried) -> Path:
    """Where the variant of a rung lies."""
    return workspace.stage(pass_scope(number), "train").parent / rung.adapter
