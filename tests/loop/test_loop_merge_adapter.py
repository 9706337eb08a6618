"""What an adapter is merged into, and what the pack is held against, by how the base was held in training."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from theatre import jobs_of, learns_everything, small_theatre
from typer.testing import CliRunner

from autosurgeon.cli.main import app
from autosurgeon.core.jobs import CompareJob, MergeJob, TrainJob
from autosurgeon.core.recipe import Quantization
from autosurgeon.core.stage_results import MergeStageResult
from autosurgeon.core.value import Value
from autosurgeon.loop.run_passes import run

NF4 = {"quantization": "nf4"}


@pytest.mark.parametrize(
    ("organ", "merged_into", "held_against", "expected"),
    [
        ({"merge_base": "dequantized"}, "original", ["none"], None),
        (NF4, "original", ["none", "nf4"], "original"),
        (NF4 | {"merge_base": "dequantized"}, "dequantized", ["none", "nf4"], "dequantized"),
    ],
)
def test_the_merge_base_is_named_in_the_manifest_and_the_pack_is_held_against_each_base_there_is(
    tmp_path: Path, organ: dict[str, Any], merged_into: str, held_against: list[str], expected: str | None
) -> None:
    def stop_before_the_bench(job: Value) -> None:
        if isinstance(job, CompareJob):
            ins.brakes.stop_requested = True

    with small_theatre(tmp_path, learns_everything, organ=organ, before=stop_before_the_bench) as ins:
        assert run(ins) == "stopped"
        record, merged = ins.store.get_pass(1), ins.store.stage_result("pass-0001", MergeStageResult)
        assert merged is not None
        pack = merged.pack
        lineage = ins.packs.manifest(pack).lineage
        jobs, facts = jobs_of(ins), ins.store.decisions(1)[-1].judgement
    assert [job.quantization for job in jobs if isinstance(job, TrainJob)] == [record.recipe.quantization]
    (merge,) = (job for job in jobs if isinstance(job, MergeJob))
    assert merge.merge_base == merged_into
    compared = [job.quantization.value for job in jobs if isinstance(job, CompareJob) and job.a_adapter is not None]
    assert compared == held_against
    assert lineage.merge_base == expected
    assert ("merge_base" in lineage.model_dump(mode="json")) == (expected is not None)
    shown = CliRunner().invoke(app, ["pack", "show", pack, "-w", str(tmp_path)])
    assert (f"merged into its {expected} weights" in shown.stdout) == (expected is not None)
    exported = CliRunner().invoke(app, ["audit", "export", pack, "--out", str(tmp_path / "out"), "-w", str(tmp_path)])
    assert exported.exit_code == 0, exported.output
    envelopes = (tmp_path / "out" / f"{pack}.intoto.jsonl").read_text().splitlines()
    payloads = [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in envelopes]
    (made,) = (payload["predicate"] for payload in payloads if "buildDefinition" in payload["predicate"])
    assert made["buildDefinition"]["externalParameters"].get("mergeBase") == expected
    assert facts is not None
    assert facts.phase == "merge"
    quantized = record.recipe.quantization == Quantization.NF4
    assert (facts.evidence["merge.kl_nf4"] is not None) == quantized
    assert (facts.evidence["merge.kl_bf16"] is not None) == quantized
