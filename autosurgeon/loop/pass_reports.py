"""The data of reports, read from store and workspace; `audit.render_reports` makes pages of it."""

from __future__ import annotations

import errno
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import structlog

from autosurgeon.audit.campaign_report import CampaignReport, build_campaign_report, group_begun
from autosurgeon.audit.mask import Masking, masked_value, masking_of
from autosurgeon.audit.pass_report import BenchRun, FlipStory, LiveWins, PassReport, StageCost, clipped, flips_of
from autosurgeon.audit.render_reports import render_pass
from autosurgeon.audit.rotation import kept_unvouched, unvouched_in
from autosurgeon.core.decision import Cost, Decision
from autosurgeon.core.envelope import ORGAN, Envelope, Mode
from autosurgeon.core.jobs import PROGRESS_FILE
from autosurgeon.core.person import PersonAct
from autosurgeon.core.recipe import Mix
from autosurgeon.core.records import Live, PassRecord, StageRecord
from autosurgeon.core.stage_results import AnchorsResult, DatasetResult, MergeStageResult, TrainStageResult
from autosurgeon.core.task import Split, Task
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import DurabilityError
from autosurgeon.loop.baseline.baseline import exclusions, pass_scope
from autosurgeon.loop.engine.full_disk import FULL
from autosurgeon.loop.engine.in_force import read_in_force
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.search.warm_start import kept_elsewhere
from autosurgeon.loop.stages.salvage_rungs import rungs_of, smoke_stage_of
from autosurgeon.loop.stuck import describe_stuck
from autosurgeon.packs.files import write_whole
from autosurgeon.sections import LoopSettings, MaskKind, SearchSettings
from autosurgeon.store.sqlstore import SqlStore

MOST_STEPS = 2000
MOST_VERSIONS = 50
"""The most live versions in a pass's report; the campaign's has all."""
Results = Mapping[str, Envelope]


class Sources(NamedTuple):
    """The sources of a report."""

    store: SqlStore
    workspace: Workspace
    tasks: Mapping[str, Task]
    search: SearchSettings
    mask: tuple[MaskKind, ...] = ()
    """What every report masks: `audit.mask` of the settings."""
    loop: LoopSettings = LoopSettings()
    """The settings that define a standstill."""
    wanted: bool = True
    """Whether the loop writes reports."""

    @property
    def masking(self) -> Masking:
        """The masking by these settings."""
        if not self.mask:
            return masking_of(self.workspace, self.mask)
        acts = [entry.act for entry in self.store.acts()]
        return masking_of(self.workspace, self.mask).knowing(self.store.decisions(), acts)


def sources_of(ins: Instruments) -> Sources:
    """The sources of a running loop."""
    settings = ins.settings
    return Sources(
        ins.store, ins.workspace, ins.tasks, settings.search, settings.audit.mask, settings.loop, ins.reports
    )


FORMS: tuple[Literal["md", "html"], ...] = ("md", "html")


def write_pass_report(sources: Sources, number: int) -> None:
    """Write a pass's report into `reports/`, as Markdown and as HTML; a report is no reason to fail a pass.

    Raises OSError when the disk fails or is full.
    """
    if not sources.wanted:
        return
    try:
        report, folder = read_pass_report(sources, number), sources.workspace.reports
        folder.mkdir(parents=True, exist_ok=True)
        for form in FORMS:
            write_whole(folder / f"{pass_scope(number)}.{form}", render_pass(report, form))
    except DurabilityError:
        raise  # a disk that cannot take a report cannot take the next pack
    except Exception as error:  # the pass has ended, and its decisions are in the store
        if isinstance(error, OSError) and error.errno in (errno.EIO, *FULL):
            raise
        structlog.get_logger().warning("report_failed", number=number, error=f"{type(error).__name__}: {error}")


def write_missing_report(sources: Sources) -> None:
    """Write the last pass's report if a crash prevented it."""
    last = sources.store.last_passes(1)
    for record in last:
        files = [sources.workspace.reports / f"{pass_scope(record.number)}.{form}" for form in FORMS]
        if record.state.is_finished and not all(file.is_file() for file in files):
            write_pass_report(sources, record.number)


def read_pass_report(sources: Sources, number: int) -> PassReport:
    """The report of one pass; UserError when there is no such pass."""
    store = sources.store
    record, scope = store.get_pass(number), pass_scope(number)
    decisions = store.decisions(number)
    trained, chosen = store.stage_result(scope, TrainStageResult), store.stage_result(scope, DatasetResult)
    history = [live for live in store.live_history() if record.ended_at is None or live.at <= record.ended_at]
    report = PassReport(
        record=record,
        in_force=store.in_force_in(record),
        proposer=_proposer_of(sources, record),
        rows=dict(sorted(Counter[str](row.why for row in chosen.dataset.rows).items())) if chosen else {},
        decisions=tuple(decisions),
        stages=stage_costs(store.stages(scope)),
        cost=store.spent_in(scope),
        training=trained.result if trained else None,
        rungs=rungs_of(store, number),
        steps=read_steps(sources.workspace.stage(scope, "train") / PROGRESS_FILE),
        flips=tuple(_flips(sources, record, decisions)),
        benches=_benches(sources, record),
        trend=_trend(sources, history[-MOST_VERSIONS:]),
        people=_people_of(store, record),
        unvouched=kept_unvouched(sources.workspace.keys),
    )
    return masked_value(report, sources.masking)


def read_campaign_report(sources: Sources) -> CampaignReport:
    """The report of all passes."""
    store = sources.store
    records = store.passes()
    trend = _trend(sources, store.live_history())
    report = build_campaign_report(records, store.decisions(), store.spent_by_pass(), trend, spent=store.spent())
    entries, stuck = store.acts(), describe_stuck(store, sources.loop)
    known: dict[str, Any] = {"people": tuple(entry.act for entry in entries), "unvouched": unvouched_in(entries)}
    known |= {"in_force": read_in_force(store), "begun": group_begun(store.in_force_in_each(records))}
    report = report.model_copy(update=known | ({"stuck": stuck["line"]} if stuck is not None else {}))
    return masked_value(report, sources.masking)


def _people_of(store: SqlStore, record: PassRecord) -> tuple[PersonAct, ...]:
    """The acts of people while a pass was open, and those on it or its pack at any time."""
    pack = _pack_of(store, record)
    acts = [entry.act for entry in store.acts(since=record.started_at, pass_number=record.number)]
    return tuple(
        act
        for act in acts
        if act.pass_number == record.number
        or (pack is not None and pack in (act.pack, act.detail.get("from")))
        or record.ended_at is None
        or act.at <= record.ended_at
    )


def _proposer_of(sources: Sources, record: PassRecord) -> str:
    if record.recipe.mix == Mix.UNION:
        return "The recipe was given: the sampler itself proposes fresh failures only."
    newest, best = sources.search.remembered_newest, sources.search.remembered_best
    earlier, count = sources.store.remembered_passes(newest, best, before=record.number), record.number - 1
    others = len(kept_elsewhere(sources.store, sources.search) or [])
    if not earlier and not others:
        return "It was the first pass, with nothing known yet, so the recipe is a careful one."
    known = [other.feedback for other in earlier if other.feedback is not None]
    failed = sum(feedback.failed for feedback in known)
    valued = sum(feedback.value is not None for feedback in known)
    broken = sum(bool(feedback.violations) for feedback in known)
    some = "" if len(earlier) == count else f"{len(earlier)} of "
    passes = f"{some}{count} earlier {'pass' if count == 1 else 'passes'}"
    passes += f" and {others} of other workspaces" if others else ""
    return (
        f"The sampler proposed it, knowing {passes}: {valued} with a value on dev, {broken} with broken rules, "
        f"{failed} that the world failed."
    )


def stage_costs(stages: Iterable[StageRecord]) -> tuple[StageCost, ...]:
    """The cost of all tries by stage, in the order of first tries, with the error of a failed last try."""
    tries: dict[str, list[StageRecord]] = {}
    for stage in stages:
        tries.setdefault(stage.name, []).append(stage)
    return tuple(
        StageCost(
            name=name,
            attempts=len(known),
            seconds=sum(stage.seconds for stage in known),
            error=clipped(known[-1].error or ""),
            cost=sum((stage.cost for stage in known), Cost()),
        )
        for name, known in tries.items()
    )


def read_steps(path: Path) -> tuple[tuple[int, float], ...]:
    """(step, loss) as the capsule reported them, thinned evenly if there are thousands; none without the file."""
    if not path.is_file():
        return ()
    steps = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            step, loss = int(row["done"]), float(row["loss"])
        except (ValueError, KeyError, TypeError):
            continue  # a truncated line, or one without a loss
        if math.isfinite(loss):
            steps.append((step, loss))
    return tuple(steps[:: -(-len(steps) // MOST_STEPS) or 1])


def _flips(sources: Sources, record: PassRecord, decisions: Sequence[Decision]) -> Iterable[FlipStory]:
    """The flips of the decisions, each with its programs as far as they exist."""
    found = flips_of(decisions)
    if found is None:
        return
    scope = pass_scope(record.number)
    live, pack = sources.store.envelopes(record.live_before), _pack_of(sources.store, record)
    # The judged bench comes before later runs. Tasks of the smoke alone have programs and no envelope.
    runs = [sources.store.envelopes(pack, f"{scope}/bench"), sources.store.envelopes(pack)] if pack else []
    smoked = _read_completions(sources.workspace.stage(scope, smoke_stage_of(sources.store, record.number)))
    noted = sources.store.stage_result(scope, AnchorsResult)
    for kind, names in zip(("lost", "gained"), found, strict=True):
        for task_id in names:
            after = _with_result(runs, task_id, passed=kind == "gained")
            before = live.get(task_id)
            failing = after if kind == "lost" else before
            task = sources.tasks.get(task_id)
            split = task.split.value if task else before.split if before else ""
            yield FlipStory(
                task_id=task_id,
                bench=task.bench if task else before.bench if before else "",
                split=split,
                kind="lost" if kind == "lost" else "gained",
                marks=_marks(task_id, split, noted) if kind == "lost" else (),
                prompt=clipped(task.prompt.strip()) if task else "",
                before=clipped(before.completion) if before else None,
                after=clipped(after.completion) if after else smoked.get(task_id),
                poison=failing.poison.value if failing and failing.poison else "",
                detail=clipped(failing.detail) if failing else "",
            )


def _pack_of(store: SqlStore, record: PassRecord) -> str | None:
    """The pack of the pass, promoted or not."""
    merged = store.stage_result(pass_scope(record.number), MergeStageResult)
    return record.pack or (merged.pack if merged else None)


def _with_result(runs: Sequence[Results], task_id: str, *, passed: bool) -> Envelope | None:
    known = [run[task_id] for run in runs if task_id in run]
    return next((envelope for envelope in known if envelope.passed == passed), None)


def _read_completions(folder: Path) -> dict[str, str]:
    """The programs of a stage by task, from its first generation; none where the folder was removed."""
    texts: dict[str, str] = {}
    for path in sorted(folder.glob("**/completions.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row: dict[str, Any] = json.loads(line)
            texts.setdefault(row["task_id"], clipped(row["completion"]))
    return texts


def _marks(task_id: str, split: str, noted: AnchorsResult | None) -> tuple[str, ...]:
    """The status of a lost win at the begin of the pass; wins of the canary have none."""
    if noted is not None and task_id in noted.anchors:
        return ("anchor", "hidden") if task_id in noted.hidden else ("anchor",)
    return ("provisional",) if noted is not None and split != Split.CANARY else ()


def _benches(sources: Sources, record: PassRecord) -> tuple[BenchRun, ...]:
    """The pack's results per bench, on all splits but the canary."""
    store, pack = sources.store, _pack_of(sources.store, record)
    results = store.envelopes(pack, f"{pass_scope(record.number)}/bench") if pack else {}
    ran = [envelope for envelope in results.values() if envelope.split != Split.CANARY]
    excluded = _excluded(store)
    sizes = Counter(task.bench for task in sources.tasks.values() if task.split != Split.CANARY)
    found = []
    for bench, tasks in sorted(sizes.items()):
        ours = [envelope for envelope in ran if envelope.bench == bench]
        found.append(
            BenchRun(
                bench=bench,
                tasks=tasks,
                written=len(ours),
                organ_alone=sum(e.cond.mode == Mode.ORGAN_ALONE and not e.cond.fallback for e in ours),
                foreign=sum(envelope.cond.handler != ORGAN for envelope in ours),
                fallbacks=sum(envelope.cond.fallback for envelope in ours),
                excluded=excluded.get(bench, ""),
            )
        )
    return tuple(found)


def _excluded(store: SqlStore) -> dict[str, str]:
    base = store.base_pack()
    return exclusions(store.envelopes(base)) if base else {}


def _trend(sources: Sources, history: Sequence[Live]) -> tuple[LiveWins, ...]:
    """The wins of each live version on the counted benches."""
    store = sources.store
    excluded, makers = _excluded(store), store.decisions_named([live.decision_id for live in history])
    results = {pack: store.envelopes(pack) for pack in dict.fromkeys(live.pack for live in history)}
    found = []
    for live in history:
        counted = [envelope for envelope in results[live.pack].values() if envelope.bench not in excluded]
        maker = makers.get(live.decision_id)
        action = maker.action if maker else "promote"
        tasks = Counter(envelope.bench for envelope in counted)
        wins = Counter(envelope.bench for envelope in counted if envelope.passed)
        found.append(
            LiveWins(
                version=live.version,
                pack=live.pack,
                how="baseline" if action == "baseline" else "revert" if action == "revert" else "promote",
                pass_number=store.origin_of(live.pack)[1],
                during=maker.pass_number if maker else None,
                wins={bench: wins[bench] for bench in sorted(tasks)},
                tasks=dict(sorted(tasks.items())),
            )
        )
    return tuple(found)
