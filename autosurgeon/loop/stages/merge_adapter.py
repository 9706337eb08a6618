"""Merge the adapter into a pack, and compare the pack with the adapter."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from autosurgeon import __version__
from autosurgeon.core.jobs import CompareJob, CompareResult, MergeJob, MergeResult
from autosurgeon.core.pack import ADAPTER_FILE, Lineage
from autosurgeon.core.recipe import MergeBase, Quantization
from autosurgeon.core.records import PassRecord
from autosurgeon.core.stage_results import FidelityResult, MergeStageResult
from autosurgeon.core.training_data import Dataset
from autosurgeon.errors import CapsuleError, PackError
from autosurgeon.loop.baseline.baseline import pass_scope, verified_folder
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.loop.stages.choose_rows import rows_file
from autosurgeon.loop.stages.job_rows import chat_of, rows_in_form
from autosurgeon.loop.stages.salvage_rungs import rung_of
from autosurgeon.packs.files import hash_file

MOST_COMPARED = 32
"""Rows on which adapter and pack are compared: a fault of the packing shows on any of them."""


def merge(ins: Instruments, record: PassRecord, dataset: Dataset, adapter: Path) -> str:
    """Merge the adapter and commit the result as a pack; return its name."""
    scope = pass_scope(record.number)

    def fold(workdir: Path) -> Done[MergeStageResult]:
        base, merge_base = verified_folder(ins, record.parent).resolve(), merge_base_of(ins, record)
        job = MergeJob(base=base, adapter=adapter.resolve(), merge_base=merge_base or "original")
        result = ins.capsules.run(job, workdir)
        assert isinstance(result, MergeResult)
        lineage = Lineage(
            parent=record.parent,
            recipe=record.recipe,
            dataset=dataset.digest,
            merge_base=merge_base,
            salvage=rung_of(ins.store, record.number),
        )
        try:
            manifest = ins.packs.commit(workdir / result.model, lineage)
        except PackError as error:
            raise CapsuleError("bad_outcome", str(error)) from error
        return Done(MergeStageResult(pack=manifest.digest, version=__version__), pack=(manifest, record.number))

    def still_there(result: MergeStageResult) -> bool:
        try:
            ins.packs.verify(result.pack)
        except PackError:
            return False
        return True

    return once(ins, scope, MergeStageResult, fold, still_there, inputs=hash_file(adapter / ADAPTER_FILE)).pack


def merge_base_of(ins: Instruments, record: PassRecord) -> MergeBase | None:
    """The base that a pass's adapter is merged into; None without quantization, where there is only one."""
    return None if record.recipe.quantization == Quantization.NONE else ins.settings.organ.merge_base


class Fidelity(NamedTuple):
    """The distance of the pack from the adapter, on the base of the merge and on others."""

    merged: CompareResult
    """On the base of the merge: only rounding, or a fault of the packing."""
    nf4: CompareResult | None = None
    """On the base in NF4, as trained; None without quantization."""
    bf16: CompareResult | None = None
    """On the base's own weights; None without quantization."""


def compare_with_adapter(ins: Instruments, record: PassRecord, adapter: Path, pack: str) -> Fidelity:
    """Compare the predictions of pack and adapter on some training rows."""
    scope, merge_base = pass_scope(record.number), merge_base_of(ins, record)

    def compare(workdir: Path) -> Done[FidelityResult]:
        lines = rows_file(ins, scope).read_text(encoding="utf-8").splitlines(keepends=True)
        some = lines[:: max(1, len(lines) // MOST_COMPARED)][:MOST_COMPARED]
        workdir.mkdir(parents=True, exist_ok=True)
        chat = chat_of(ins.settings.organ)
        (workdir / "rows.jsonl").write_text(rows_in_form("".join(some), ins.tasks, chat), encoding="utf-8")
        job = CompareJob(
            a=verified_folder(ins, record.parent).resolve(),
            a_adapter=adapter.resolve(),
            b=verified_folder(ins, pack).resolve(),
            rows=(workdir / "rows.jsonl").resolve(),
            batch_rows=ins.settings.organ.train_batch_rows,
            max_tokens=ins.settings.organ.max_tokens,
            chat=chat,
        )
        held = [Quantization.NONE] if merge_base is None else list(Quantization)
        jobs = {base.value: job.model_copy(update={"quantization": base}) for base in held}
        found: dict[str, CompareResult] = {}
        for base, job in jobs.items():
            result = ins.capsules.run(job, workdir / f"compare-{base}")
            assert isinstance(result, CompareResult)
            found[base] = result
        return Done(FidelityResult(results=found))

    found = once(ins, scope, FidelityResult, compare, inputs=[hash_file(adapter / ADAPTER_FILE), pack]).results
    own, nf4 = found[Quantization.NONE], found.get(Quantization.NF4)
    if nf4 is None:
        return Fidelity(own)
    return Fidelity(nf4 if merge_base == "dequantized" else own, nf4=nf4, bf16=own)
