"""The salvage ladder in the store: the rungs that a pass tried, and its adapter."""

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
    """The rungs that a pass tried or skipped, in their order; none without a ladder or a loss."""
    found = []
    for place in itertools.count(1):
        result = store.stage_result(pass_scope(number), SalvageResult, stage_of(place))
        if result is None:
            break
        found.append(result.tried)
    return tuple(found)


def rungs_tried(store: SqlStore, number: int) -> int:
    """The number of smoked rungs, each a further candidate of the pass."""
    return sum(not rung.skipped for rung in rungs_of(store, number))


def rung_of(store: SqlStore, number: int) -> str | None:
    """The rung that made a pass's adapter; None for the adapter as trained."""
    return next((rung.rung for rung in rungs_of(store, number) if rung.held), None)


def smoke_stage_of(store: SqlStore, number: int) -> str:
    """The stage that smoked a pass's current adapter."""
    rungs = enumerate(rungs_of(store, number), start=1)
    return next((stage_of(place) for place, rung in rungs if rung.held), "smoke")


def adapter_of(store: SqlStore, workspace: Workspace, number: int) -> Path | None:
    """The folder of a pass's adapter: of the accepted rung, or else as trained; None without a training."""
    for rung in rungs_of(store, number):
        if rung.held:
            return folder_of(workspace, number, rung)
    trained = store.stage_result(pass_scope(number), TrainStageResult)
    return None if trained is None else workspace.stage(pass_scope(number), "train") / trained.result.adapter


def folder_of(workspace: Workspace, number: int, rung: RungTried) -> Path:
    """The folder of the variant of a rung."""
    return workspace.stage(pass_scope(number), "train").parent / rung.adapter
