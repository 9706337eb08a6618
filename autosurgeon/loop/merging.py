"""From adapter to pack: the merge, and the packed file held against the adapter that it was made of."""

from __future__ import annotations

from pathlib import Path

from autosurgeon import __version__
from autosurgeon.core.jobs import CompareJob, CompareResult, MergeJob, MergeResult
from autosurgeon.core.pack import Lineage
from autosurgeon.core.records import PassRecord
from autosurgeon.dataset.rows import Dataset
from autosurgeon.errors import CapsuleError, PackError
from autosurgeon.loop.instruments import Instruments
from autosurgeon.loop.plan import rows_file
from autosurgeon.loop.stage import Done, once
from autosurgeon.loop.standing import pass_scope, verified_folder
from autosurgeon.packs.files import hash_file

ADAPTER_FILE = "adapter_model.safetensors"
MOST_COMPARED = 32
"""Rows on which adapter and pack are compared: a fault of the packing shows on any of them."""


def merge(ins: Instruments, record: PassRecord, dataset: Dataset, adapter: Path) -> str:
    """Fold the adapter in and commit the result as a pack; its name."""
    scope = pass_scope(record.number)

    def fold(workdir: Path) -> Done:
        job = MergeJob(base=verified_folder(ins, record.parent).resolve(), adapter=adapter.resolve())
        result = ins.capsules.run(job, workdir)
        assert isinstance(result, MergeResult)
        lineage = Lineage(parent=record.parent, recipe=record.recipe, dataset=dataset.digest)
        try:
            manifest = ins.packs.commit(workdir / result.model, lineage)
        except PackError as error:
            raise CapsuleError("bad_outcome", str(error)) from error
        return Done({"pack": manifest.digest, "version": __version__}, pack=(manifest, record.number))

    def still_there(output: dict[str, str]) -> bool:
        try:
            ins.packs.verify(output["pack"])
        except PackError:
            return False
        return True

    pack: str = once(ins, scope, "merge", fold, still_there, inputs=hash_file(adapter / ADAPTER_FILE))["pack"]
    return pack


def compare_with_adapter(ins: Instruments, record: PassRecord, adapter: Path, pack: str) -> CompareResult:
    """What the packed file predicts where the adapter did, on some of the rows that it was trained on."""
    scope = pass_scope(record.number)

    def compare(workdir: Path) -> Done:
        lines = rows_file(ins, scope).read_text(encoding="utf-8").splitlines(keepends=True)
        some = lines[:: max(1, len(lines) // MOST_COMPARED)][:MOST_COMPARED]
        workdir.mkdir(parents=True, exist_ok=True)
        (workdir / "rows.jsonl").write_text("".join(some), encoding="utf-8")
        job = CompareJob(
            a=verified_folder(ins, record.parent).resolve(),
            a_adapter=adapter.resolve(),
            quantization=record.recipe.quantization,
            b=verified_folder(ins, pack).resolve(),
            rows=(workdir / "rows.jsonl").resolve(),
            batch_rows=ins.settings.organ.train_batch_rows,
            max_tokens=ins.settings.organ.max_tokens,
        )
        return Done({"result": ins.capsules.run(job, workdir / "compare").model_dump(mode="json")})

    output = once(ins, scope, "fidelity", compare, inputs=[hash_file(adapter / ADAPTER_FILE), pack])
    return CompareResult.model_validate(output["result"])
