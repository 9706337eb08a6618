"""The baseline of a pass: base and live pack, counted benches, anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from autosurgeon.core.digest import digest_json, digest_text
from autosurgeon.core.envelope import ORGAN, Envelope
from autosurgeon.core.pass_states import pass_scope as pass_scope
from autosurgeon.core.records import PassRecord
from autosurgeon.core.stage_results import ImportResult, PackBenchResult, SamplesResult, Tokens
from autosurgeon.core.task import Split, Task
from autosurgeon.errors import StoreError, UserError
from autosurgeon.lab.dispatcher import PLANNER, REPAIR
from autosurgeon.loop.baseline.anchor_ledger import Entry, read_known, read_ledger
from autosurgeon.loop.baseline.task_manifest import book_of
from autosurgeon.loop.decide.live import make_first_live
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.loop.stages.anchor_order import even
from autosurgeon.loop.stages.generate_answers import Model, Sampling
from autosurgeon.loop.stages.measure import measure
from autosurgeon.loop.stages.open_checkpoint import open_checkpoint
from autosurgeon.packs.checkpoint import organ_digest
from autosurgeon.store.database import utc_now


class Baseline(NamedTuple):
    """What a pass begins with."""

    base: str
    live: str
    """The pack that was live when the pass began."""
    counted: tuple[str, ...]
    excluded: Mapping[str, str]
    """Bench to reason."""
    foreign: Mapping[str, int]
    """Bench to answers that were not the organ's."""
    anchors: tuple[str, ...]
    """Confirmed wins of live."""
    hidden: frozenset[str] = frozenset()
    """Those of them that no training may see for now."""


def open_pass(ins: Instruments) -> PassRecord | None:
    """The pass that an earlier run left open, if there is one."""
    return next(iter(ins.store.open_passes()), None)


def read_baseline(ins: Instruments, live: str | None = None) -> Baseline:
    """Import and measure what has not been measured yet, and say how things stand.

    Args:
        ins: the instruments.
        live: the pack to hold candidates against; the one that is live now when empty. An open pass names the one that
            was live when it began, since it may have moved the pointer itself.

    """
    base = _base(ins)
    version = ins.store.live()
    if version is None:
        raise StoreError("the workspace has a base but no live pack")
    live = live or version.pack
    for pack in dict.fromkeys((base, live)):
        measure_missing(ins, pack)
    results = ins.store.envelopes(base)
    foreign, excluded = foreign_answers(results), exclusions(results)
    counted = tuple(sorted({task.bench for task in ins.tasks.values()} - excluded.keys()))
    passes = sum(count for state, count in ins.store.pass_counts().items() if state.is_finished)
    entries = confirm(ins, live, counted, passes).values()
    anchors = tuple(entry.task_id for entry in entries if entry.state == "anchor")
    hidden = frozenset(entry.task_id for entry in entries if entry.hidden)
    return Baseline(base, live, counted, excluded, foreign, anchors, hidden)


def _base(ins: Instruments) -> str:
    """The base pack's name; the first start imports it and makes it live by a decision of its own."""

    def import_base(folder: Path) -> Done[ImportResult]:
        open_checkpoint(ins.capsules, ins.settings.organ_folder, folder / "open")
        manifest = ins.packs.import_checkpoint(ins.settings.organ_folder)
        organ = organ_digest(ins.settings.organ_folder, ins.beat)
        return Done(ImportResult(pack=manifest.digest, organ=organ), pack=(manifest, None))

    base = once(ins, "base", ImportResult, import_base).pack
    if ins.store.live() is None:
        make_first_live(ins, base)
    return base


def refuse_other_organ(ins: Instruments) -> None:
    """UserError when the workspace was begun with other weights than the settings name now."""
    imported, folder = ins.store.stage_result("base", ImportResult), ins.settings.organ_folder
    if imported is not None and imported.organ != (now := organ_digest(folder, ins.beat)):
        raise UserError(
            "this workspace was begun with another organ; name another --workspace, or the old model",
            got=f"weights {now[:12]}",
            wanted=imported.organ[:12],
            where=folder,
        )


def measure_missing(ins: Instruments, pack: str) -> None:
    """Bench a pack on the tasks that it never ran, or that the dispatcher now routes to someone else."""
    known = ins.store.envelopes(pack)
    todo = [
        task
        for task_id, task in ins.tasks.items()
        if task_id not in known or known[task_id].cond.handler != ins.dispatcher.route(task.prompt)
    ]
    if not todo:
        return
    scope, name = f"pack-{pack[:12]}", f"bench-{digest_json([task.task_id for task in todo] + [len(known)])[:8]}"

    def bench(folder: Path) -> Done[PackBenchResult]:
        envelopes, tokens = [], 0
        for number, batch in enumerate(bench_batches(ins, todo)):
            measured = measure(ins, Model(pack, verified_folder(ins, pack)), batch, folder / f"batch-{number}")
            envelopes += measured.envelopes
            tokens += measured.tokens
        result = PackBenchResult(tasks=len(envelopes), tokens=Tokens(generated=tokens), book=book_of(todo))
        return Done(result, envelopes=(pack, f"{scope}/{name}", envelopes))

    once(ins, scope, PackBenchResult, bench, name=name)


def verified_folder(ins: Instruments, pack: str) -> Path:
    """The folder of a pack whose every byte was just read back."""
    ins.packs.verify(pack)
    return ins.packs.path(pack)


def foreign_answers(results: Mapping[str, Envelope]) -> dict[str, int]:
    """Per bench, the answers that the organ did not give."""
    counts: dict[str, int] = {}
    for envelope in results.values():
        counts[envelope.bench] = counts.get(envelope.bench, 0) + (envelope.cond.handler != ORGAN)
    return dict(sorted(counts.items()))


def exclusions(results: Mapping[str, Envelope]) -> dict[str, str]:
    """The benches that do not count, with why, and what to do about it."""
    handlers = {e.bench: e.cond.handler for e in results.values() if e.cond.handler != ORGAN}
    return {
        bench: f"the route leaks: {foreign} of {sum(e.bench == bench for e in results.values())} answers came from "
        "another handler than the organ, so the bench does not measure it; not counted, not trained on. To repair "
        f"it, {REPAIR if handlers[bench] == PLANNER else 'let the runtime route these prompts to the organ'}"
        for bench, foreign in foreign_answers(results).items()
        if foreign
    }


def bench_batches(ins: Instruments, tasks: Sequence[Task]) -> list[list[Task]]:
    """The order in which tasks are run, cut where the loop looks at the gate: fixed by the seed before any result.

    The gate's tasks come first, a generation batch at a time, the rest after them in one. With `levers.racing` dev
    comes before surgery, so that a pass that the gate holds teaches the search for the price of dev alone, and surgery
    is cut as the gate is. Every pack is run in the same batches, since another batch is other arithmetic; so the lever
    is best set, or not, for all of a workspace's passes.
    """
    order = sorted(tasks, key=lambda task: digest_text(f"bench:{ins.settings.seed}:{task.task_id}"))
    racing, size = ins.settings.levers.racing, ins.settings.organ.generate_batch_rows

    def some(*splits: Split, cut: bool = False) -> list[list[Task]]:
        those = [task for task in order if task.split in splits]
        return even(those, size) if cut else [those]

    rest = [*some(Split.DEV), *some(Split.SURGERY, cut=True)] if racing else some(Split.SURGERY, Split.DEV)
    return [batch for batch in (*some(Split.GATE, cut=True), *rest, *some(Split.CANARY)) if batch]


def confirm(ins: Instruments, pack: str, counted: Sequence[str], passes: int) -> dict[str, Entry]:
    """The ledger of a live pack, with every win of it confirmed by samples that nothing else confirms.

    Wins of the canary split are no anchors: they are read only after promotion.
    """
    before = _ledger(ins, pack, counted, passes)
    fresh = [ins.tasks[e.task_id] for e in before.values() if e.state == "provisional" and not e.samples]
    anchors = ins.settings.anchors

    def sample(folder: Path) -> Done[SamplesResult]:
        sampling = Sampling(anchors.samples, anchors.temperature, seed=ins.settings.seed)
        measured = measure(ins, Model(pack, verified_folder(ins, pack)), fresh, folder, sampling)
        passed = {task.task_id: 0 for task in fresh}
        for envelope in measured.envelopes:
            passed[envelope.task_id] += envelope.passed
        counts = {task_id: (anchors.samples, count) for task_id, count in passed.items()}
        return Done(SamplesResult(tokens=Tokens(generated=measured.tokens)), confirmations=(pack, counts))

    if not fresh:
        return before
    name = f"confirm-{digest_json(sorted(task.task_id for task in fresh))[:8]}"
    once(ins, f"pack-{pack[:12]}", SamplesResult, sample, name=name)
    return _ledger(ins, pack, counted, passes)


def _ledger(ins: Instruments, pack: str, counted: Sequence[str], passes: int) -> dict[str, Entry]:
    known = read_known(ins.store, ins.tasks, pack, ins.settings.anchors, passes=passes)
    return read_ledger(ins.tasks, known, ins.settings.anchors, counted=counted, seed=ins.settings.seed, now=utc_now())


def tasks_of(ins: Instruments, benches: Sequence[str], splits: Sequence[Split]) -> list[Task]:
    """The tasks of some benches and splits, in their order."""
    return [task for task in ins.tasks.values() if task.bench in benches and task.split in splits]
