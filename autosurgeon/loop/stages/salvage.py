"""Salvage: try weaker variants of an adapter before a candidate is given up for its lost anchors.

Nothing is trained. Each rung of the ladder is a stage: it makes a variant from the adapter's tensors and smokes it on
the same held-out anchors. The first variant that loses no more than the policy allows becomes the pass's adapter. A
choice among several candidates is several looks, so each smoked rung makes the pass's look more expensive: see
`budget.cost_of_look`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from autosurgeon.core.decision import Evidence
from autosurgeon.core.jobs import ReshapeJob, ReshapeResult
from autosurgeon.core.pack import ADAPTER_FILE
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.records import PassRecord, RungTried
from autosurgeon.core.stage_results import SalvageResult, SmokeResult, TrainStageResult
from autosurgeon.errors import WorldError
from autosurgeon.loop.baseline.baseline import pass_scope, verified_folder
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.loop.stages.salvage_rungs import adapter_of, folder_of, stage_of
from autosurgeon.packs.files import hash_file
from autosurgeon.policy.evidence import salvage_facts

Smoke = Callable[[str, Path, Path], Done[SmokeResult]]
"""(name, adapter, folder) -> the result of the smoke; the name is the last part of its occasion."""
NONE_STAYED = "no adapter of this parent went live and stayed"
UNCHANGED = "it changes nothing of the adapter"
GONE = "its files are gone"


class Candidate(NamedTuple):
    """The adapter of a pass, and the facts for the smoke gate."""

    adapter: Path
    facts: Evidence


class _Rung(NamedTuple):
    """A rung with its adapter."""

    name: str
    checkpoint: Path | None = None


def salvage(
    ins: Instruments,
    record: PassRecord,
    adapter: Path,
    smoked: SmokeResult,
    anchors: Sequence[str],
    limit: float | None,
    smoke: Smoke,
) -> Candidate:
    """Return the adapter if it lost few enough anchors; else the first such variant, if any.

    Args:
        ins: the instruments.
        record: the pass.
        adapter: the adapter as trained.
        smoked: the result of the smoke stage.
        anchors: the held-out anchors.
        limit: the most losses that the policy allows; None where it refuses none, and nothing is salvaged.
        smoke: runs the anchors on a variant.

    """
    lost = smoked.facts.get("smoke.lost")
    assert lost is None or isinstance(lost, int)  # it counts anchors
    needed = limit is not None and lost is not None and lost > limit
    inputs = {"adapter": hash_file(adapter / ADAPTER_FILE), "anchors": list(anchors)}
    tried = 0
    for place, rung in enumerate(_ladder(ins, record) if needed else (), start=1):
        result = _climb(ins, record, place, rung, adapter, limit, smoke, inputs)
        found = result.tried
        tried += not found.skipped
        if found.held:
            facts = salvage_facts(tried=tried, rung=found.rung, lost=lost)
            return Candidate(folder_of(ins.workspace, record.number, found), result.facts | facts)
    return Candidate(adapter, smoked.facts | salvage_facts(tried=tried, rung=None, lost=lost))


def _ladder(ins: Instruments, record: PassRecord) -> list[_Rung]:
    """The rungs of the settings, with each earlier state of the training as one, the newest first."""
    folder = ins.workspace.stage(pass_scope(record.number), "train")
    trained = ins.store.stage_result(pass_scope(record.number), TrainStageResult)
    assert trained is not None  # the pass was smoked
    checkpoints = trained.result.checkpoints[::-1]
    states = [_Rung(f"checkpoint:{state.epochs:.6g}", folder / state.adapter) for state in checkpoints]
    rungs: list[_Rung] = []
    for name in ins.settings.levers.salvage:
        rungs += states if name == "checkpoints" else [_Rung(name)]
    return rungs


def _climb(
    ins: Instruments,
    record: PassRecord,
    place: int,
    rung: _Rung,
    adapter: Path,
    limit: float | None,
    smoke: Smoke,
    inputs: dict[str, Any],
) -> SalvageResult:
    """Try one rung, as a stage."""
    scope, stage = pass_scope(record.number), stage_of(place)

    def climb(folder: Path) -> Done[SalvageResult]:
        variant, skipped = _variant(ins, record, rung, adapter, folder)
        smoked = ins.store.stage_result(scope, SalvageResult, stage)
        if smoked is not None:
            return _made_again(smoked, variant)
        if variant is None:
            ins.reporter.say(f"{stage}, {rung.name}: skipped: {skipped}")
            return Done(SalvageResult(tried=RungTried(rung=rung.name, skipped=skipped)))
        done = smoke(stage, variant, folder / "smoke")
        lost = done.result.lost
        tried = RungTried(
            rung=rung.name,
            adapter=variant.relative_to(folder.parent).as_posix(),
            held=limit is not None and len(lost) <= limit,
            smoked=_tried(done.result),
            lost=lost,
        )
        ins.reporter.say(f"{stage}, {rung.name}: {len(lost)} anchors lost of {tried.smoked} smoked")
        smoke_fields = {name: getattr(done.result, name) for name in SmokeResult.model_fields}
        result = SalvageResult(**smoke_fields, tried=tried, sha256=hash_file(variant / ADAPTER_FILE))
        return Done(result, anchor_runs=done.anchor_runs)

    def still_there(result: SalvageResult) -> bool:
        tried = result.tried
        return not tried.held or (folder_of(ins.workspace, record.number, tried) / ADAPTER_FILE).is_file()

    inputs = {**inputs, "rung": rung.name}
    return once(ins, scope, SalvageResult, climb, still_there, name=stage, inputs=inputs)


def _tried(smoked: SmokeResult) -> int:
    tried = smoked.facts["smoke.tried"]
    assert isinstance(tried, int)  # it counts anchors
    return tried


def _made_again(smoked: SalvageResult, variant: Path | None) -> Done[SalvageResult]:
    """Make the files of a variant again; WorldError unless they are the same."""
    if variant is None or hash_file(variant / ADAPTER_FILE) != smoked.sha256:
        raise WorldError("an adapter that was salvaged is gone, and came out otherwise when made again")
    return Done(smoked)


def _variant(ins: Instruments, record: PassRecord, rung: _Rung, adapter: Path, folder: Path) -> tuple[Path | None, str]:
    """The folder of a rung's adapter; or None and the reason."""
    if rung.checkpoint is not None:
        return (rung.checkpoint, "") if (rung.checkpoint / ADAPTER_FILE).is_file() else (None, GONE)
    method, _, number = rung.name.partition(":")
    others = _that_stayed(ins, record, int(number)) if method == "average" else []
    if method == "average" and not others:
        return None, NONE_STAYED
    job = ReshapeJob.model_validate(
        {
            "method": method,
            "base": verified_folder(ins, record.parent).resolve(),
            "adapters": [path.resolve() for path in (adapter, *others)],
            "factor": float(number) if method in ("scale", "lines") else 1.0,
        }
    )
    result = ins.capsules.run(job, folder / "reshape")
    assert isinstance(result, ReshapeResult)
    return (folder / "reshape" / result.adapter, "") if result.changed else (None, UNCHANGED)


def _that_stayed(ins: Instruments, record: PassRecord, count: int) -> list[Path]:
    """The adapters of the newest passes on the same parent whose packs went live and were not reverted."""
    reverted, found = ins.store.reverted_versions(), dict[int, Path]()
    history = ins.store.live_history()
    fallen = {live.pack for live in history if live.version in reverted}
    for live in reversed(history):
        parent, number = ins.store.origin_of(live.pack)
        if live.pack in fallen or parent != record.parent or number is None or number in found:
            continue
        if ins.store.get_pass(number).state != PassState.CONFIRMED:
            continue
        adapter = adapter_of(ins.store, ins.workspace, number)
        if adapter is not None and (adapter / ADAPTER_FILE).is_file():
            found[number] = adapter
    return list(found.values())[:count]
