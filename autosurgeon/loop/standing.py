"""How things stand: the base and the live pack, which benches count, which wins are anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from autosurgeon.core.decision import Decision
from autosurgeon.core.digest import digest_json
from autosurgeon.core.envelope import ORGAN, Envelope
from autosurgeon.core.task import Split, Task
from autosurgeon.errors import PackError, StoreError, UserError
from autosurgeon.lab.dispatcher import REPAIR
from autosurgeon.loop.complete import Model, Sampling
from autosurgeon.loop.instruments import Instruments
from autosurgeon.loop.measure import measure
from autosurgeon.loop.settle import publish
from autosurgeon.loop.stage import Done, once
from autosurgeon.packs.checkpoint import organ_digest
from autosurgeon.store.database import utc_now


class Standing(NamedTuple):
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
    """Confirmed wins of live, most fragile first."""


def pass_scope(number: int) -> str:
    """The scope of a pass's stages."""
    return f"pass-{number:04d}"


def take_stock(ins: Instruments, live: str | None = None) -> Standing:
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
    return Standing(base, live, counted, excluded, foreign, confirm(ins, live, counted))


def _base(ins: Instruments) -> str:
    """The base pack's name; the first start imports it and makes it live by a decision of its own."""

    def import_base(_: Path) -> Done:
        manifest = ins.packs.import_checkpoint(ins.settings.organ_folder)
        return Done({"pack": manifest.digest, "organ": organ_digest(ins.settings.organ_folder)}, pack=(manifest, None))

    base: str = once(ins, "base", "import", import_base)["pack"]
    if ins.store.live() is None:
        decision = ins.store.decide(
            Decision(
                decision_id="base-import",
                pass_number=None,
                judgement=None,
                action="baseline",
                reason="the first pack of this workspace: there is nothing yet to compare it with",
                at=utc_now(),
            ),
            live_pack=base,
        )
        publish(ins, decision)
    return base


def refuse_other_organ(ins: Instruments) -> None:
    """UserError when the workspace was begun with other weights than the settings name now."""
    imported, folder = ins.store.stage_output("base", "import"), ins.settings.organ_folder
    if imported is not None and imported["organ"] != (now := organ_digest(folder)):
        raise UserError(
            "this workspace was begun with another organ; name another --workspace, or the old model",
            got=f"weights {now[:12]}",
            wanted=imported["organ"][:12],
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

    def bench(folder: Path) -> Done:
        envelopes = measure(ins, Model(pack, verified_folder(ins, pack)), todo, folder)
        return Done({"tasks": len(envelopes)}, envelopes=(pack, f"{scope}/{name}", envelopes))

    once(ins, scope, name, bench)


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
    return {
        bench: f"the route leaks: {foreign} of {sum(e.bench == bench for e in results.values())} answers came from "
        "another handler than the organ, so the bench says nothing about it; not counted, not trained on. To repair "
        f"it, {REPAIR}"
        for bench, foreign in foreign_answers(results).items()
        if foreign
    }


def confirm(ins: Instruments, pack: str, counted: Sequence[str]) -> tuple[str, ...]:
    """The pack's anchors: wins that the pack before it had too, or of which all of k samples pass.

    Wins of the canary split are no anchors: they are read only after promotion. Sampled ones come first, since nothing
    but this pack has shown them yet.
    """
    results = ins.store.envelopes(pack)
    wins = [
        task
        for task_id, task in ins.tasks.items()
        if task.bench in counted and task.split != Split.CANARY and task_id in results and results[task_id].passed
    ]
    before = _wins_before(ins, pack)
    known = ins.store.confirmations(pack)
    fresh = [task for task in wins if task.task_id not in before | known.keys()]
    name = f"confirm-{digest_json(list(counted))[:8]}"

    def sample(folder: Path) -> Done:
        anchors = ins.settings.anchors
        sampling = Sampling(anchors.samples, anchors.temperature, seed=ins.settings.seed)
        envelopes = measure(ins, Model(pack, verified_folder(ins, pack)), fresh, folder, sampling) if fresh else []
        passed = {task.task_id: 0 for task in fresh}
        for envelope in envelopes:
            passed[envelope.task_id] += envelope.passed
        counts = {task_id: (anchors.samples, count) for task_id, count in passed.items()}
        always = {task_id for task_id, (samples, count) in (known | counts).items() if samples == count}
        sampled = [task.task_id for task in wins if task.task_id in always and task.task_id not in before]
        twice = [task.task_id for task in wins if task.task_id in before]
        return Done({"anchors": sampled + twice, "wins": len(wins)}, confirmations=(pack, counts))

    return tuple(once(ins, f"pack-{pack[:12]}", name, sample)["anchors"])


def _wins_before(ins: Instruments, pack: str) -> frozenset[str]:
    """What the pack that was live before this one won; nothing for a base."""
    numbers = [number for manifest, number, _ in ins.store.packs() if manifest.digest == pack]
    if not numbers or numbers[0] is None:
        return frozenset()
    before = ins.store.envelopes(ins.store.get_pass(numbers[0]).live_before)
    return frozenset(task_id for task_id, envelope in before.items() if envelope.passed)


def last_good_pack(ins: Instruments, but: str) -> str:
    """The newest earlier live pack that still verifies; StoreError when there is none."""
    for live in reversed(ins.store.live_history()):
        if live.pack != but and not _was_reverted(ins, live.version):
            try:
                ins.packs.verify(live.pack)
            except PackError as error:
                ins.reporter.say(f"version {live.version} cannot be reverted to: {error}")
                continue
            return live.pack
    raise StoreError("no earlier live pack verifies, so there is nothing to revert to")


def _was_reverted(ins: Instruments, version: int) -> bool:
    """Whether the version right after it was made by a revert, which is to say: away from it."""
    return any(d.action == "revert" and d.live_version == version + 1 for d in ins.store.decisions())


def tasks_of(ins: Instruments, benches: Sequence[str], splits: Sequence[Split]) -> list[Task]:
    """The tasks of some benches and splits, in their order."""
    return [task for task in ins.tasks.values() if task.bench in benches and task.split in splits]
