"""in-toto statements about a pack: SLSA provenance, test results, a verification summary. Pure.

A statement is JSON with four keys, named as in the specifications. The `in-toto-attestation` package is not used: its
protobuf turns every whole number of a free-form field into a float. Unknown fields are left out with a reason in
`autosurgeon_leftOut`; fields of our own begin with `autosurgeon_`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from autosurgeon.core.decision import Decision, Judgement, Verdict
from autosurgeon.core.digest import digest_json
from autosurgeon.core.envelope import ORGAN, Envelope, Mode
from autosurgeon.core.pack import Manifest
from autosurgeon.core.pass_states import PassState, pass_scope
from autosurgeon.core.records import PassRecord
from autosurgeon.core.training_data import Row

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
VERIFICATION = "https://slsa.dev/verification_summary/v1"
NAMES = "urn:autosurgeon"
"""Prefix of our own names, which are not addresses."""
LEFT_OUT = "autosurgeon_leftOut"
Json = dict[str, Any]


class Known(NamedTuple):
    """The memory's content about a pack."""

    manifest: Manifest
    made_at: str
    code: str | None
    """The version of autosurgeon that made it; None where it was not recorded."""
    made_by: PassRecord | None
    """The pass that made it; None for a base."""
    rows: Sequence[Row] | None
    """Its training rows; None where the memory does not hold the rows that the manifest names."""
    runs: Mapping[str, Sequence[Envelope]]
    """Its bench results by occasion."""
    last: PassRecord | None
    """The last pass that made it."""
    decisions: Sequence[Decision]
    """The decisions of that pass; for a base those that first made it live."""


class Predicate(NamedTuple):
    """A statement's predicate, before it is signed."""

    type: str
    content: Json


class LeftOut(NamedTuple):
    """An omitted statement, and why."""

    what: str
    why: str


def predicates_of(known: Known) -> tuple[list[Predicate], list[LeftOut]]:
    """Build all predicates of a pack, and list the omitted ones."""
    tested = [_tested(occasion, bench, found) for occasion, bench, found in _benches(known)]
    if not tested:
        tested = [LeftOut("test result", "no bench has run it")]
    predicates = [_provenance(known), *tested, _verdict(known)]
    return (
        [one for one in predicates if isinstance(one, Predicate)],
        [one for one in predicates if isinstance(one, LeftOut)],
    )


def statement_of(manifest: Manifest, predicate: Predicate) -> Json:
    """Bind a predicate to a pack: to its manifest, under the pack's name, and to each of its files."""
    files = [{"name": name, "digest": {"sha256": file.sha256}} for name, file in sorted(manifest.files.items())]
    return {
        "_type": STATEMENT,
        "subject": [{"name": pack_uri(manifest.digest), "digest": {"sha256": manifest.digest}}, *files],
        "predicateType": predicate.type,
        "predicate": predicate.content,
    }


def pack_uri(digest: str) -> str:
    """Return the URI of a pack in statements."""
    return f"{NAMES}:pack:{digest}"


def _provenance(known: Known) -> Predicate | LeftOut:
    lineage, record = known.manifest.lineage, known.made_by
    if lineage.recipe is None or lineage.parent is None:
        return LeftOut("provenance", "the pack was imported, and how it was made is not known here")
    left_out = []
    dependencies: list[Json] = [
        {"name": "parent", "uri": pack_uri(lineage.parent), "digest": {"sha256": lineage.parent}},
    ]
    if lineage.dataset is None:
        left_out.append("the rows: the manifest names none")
    else:
        rows: Json = {"name": "rows.jsonl", "digest": {"sha256": lineage.dataset}}
        if known.rows is None:
            left_out.append("the rows' ids: the memory does not hold the rows that the manifest names")
        else:
            ids = {why: [row.task_id for row in known.rows if row.why == why] for why in _reasons(known.rows)}
            rows["annotations"] = {"rows": len(known.rows), "taskIds": ids}
        dependencies.append(rows)
    builder: Json = {"id": f"{NAMES}:loop:v1"}
    if known.code is None:
        left_out.append("builder.version: it was not noted when the pack was made")
    else:
        builder["version"] = {"autosurgeon": known.code}
    metadata = {"finishedOn": _second(known.made_at)}
    if record is None:
        left_out.append("the pass: the memory names none")
    else:
        metadata |= {"invocationId": pass_scope(record.number), "startedOn": _second(record.started_at)}
    merged = {"mergeBase": lineage.merge_base, "salvage": lineage.salvage}
    how_merged: Json = {name: value for name, value in merged.items() if value is not None}
    content: Json = {
        "buildDefinition": {
            "buildType": f"{NAMES}:pass:v1",
            "externalParameters": {"recipe": lineage.recipe.model_dump(mode="json")} | how_merged,
            "resolvedDependencies": dependencies,
        },
        "runDetails": {"builder": builder, "metadata": metadata},
    }
    return Predicate(PROVENANCE, content | ({LEFT_OUT: left_out} if left_out else {}))


def _reasons(rows: Sequence[Row]) -> list[str]:
    return sorted({row.why for row in rows})


def _benches(known: Known) -> list[tuple[str, str, list[Envelope]]]:
    """Group results as (occasion, bench, results): a statement covers one run of one bench."""
    return [
        (occasion, bench, [envelope for envelope in found if envelope.bench == bench])
        for occasion, found in known.runs.items()
        for bench in sorted({envelope.bench for envelope in found})
    ]


def _tested(occasion: str, bench: str, found: Sequence[Envelope]) -> Predicate | LeftOut:
    foreign = sum(e.cond.handler != ORGAN or e.cond.fallback or e.cond.mode != Mode.ORGAN_ALONE for e in found)
    if foreign:
        why = f"{foreign} of {len(found)} answers came from another handler than the organ, or with a fallback"
        return LeftOut(f"test result of {bench} in {occasion}", why)
    passed = sorted(e.task_id for e in found if e.passed and e.tier == "split")
    warned = sorted(e.task_id for e in found if e.passed and e.tier != "split")
    failed = {e.task_id: e.poison.value for e in found if e.poison is not None}
    conditions = {
        "mode": sorted({e.cond.mode.value for e in found}),
        "fingerprint": sorted({e.cond.fingerprint for e in found}),
        "jail": sorted({e.jail for e in found}),
        "splits": sorted({e.split for e in found}),
    }
    return Predicate(
        TEST_RESULT,
        {
            "result": "FAILED" if failed else "WARNED" if warned else "PASSED",
            "configuration": [
                {"name": bench, "uri": f"{NAMES}:bench:{bench}", "annotations": {"occasion": occasion}},
                {"name": "conditions", "digest": {"sha256": digest_json(conditions)}, "annotations": conditions},
            ],
            "passedTests": passed,
            "warnedTests": warned,
            "failedTests": sorted(failed),
            "autosurgeon_causes": failed,
            LEFT_OUT: ["the digest of the bench's tasks: it is not kept with results"],
        },
    )


def _verdict(known: Known) -> Predicate | LeftOut:
    judged = [(decision, decision.judgement) for decision in known.decisions if decision.judgement]
    record = known.last
    if record is not None and not record.state.is_finished:
        return LeftOut("policy decision", f"pass {record.number} is still open, in state {record.state.value}")
    if record is not None and record.state == PassState.FAILED:
        return LeftOut("policy decision", f"pass {record.number} failed for an external reason before a verdict")
    if not judged:
        return LeftOut("policy decision", "no policy has judged it")
    refused = any(judgement.verdict != Verdict.ACCEPT for _, judgement in judged)
    passed = not refused and (record is None or record.state == PassState.CONFIRMED)
    level = "BASELINE" if record is None else record.state.value
    last, judgement = judged[-1]
    words = [d.override.model_dump(mode="json") for d in known.decisions if d.override and d.action == "override"]
    return Predicate(
        VERIFICATION,
        {
            "verifier": {"id": f"{NAMES}:policy:v1"},
            "timeVerified": _second(last.at),
            "resourceUri": pack_uri(known.manifest.digest),
            "policy": {
                "uri": f"{NAMES}:policy:{judgement.policy_digest}",
                "name": judgement.policy,
                "digest": {"sha256": judgement.policy_digest},
            },
            "verificationResult": "PASSED" if passed else "FAILED",
            "verifiedLevels": [f"AUTOSURGEON_{level}"] if passed else ["FAILED"],
            "autosurgeon_state": level,
            "autosurgeon_judgements": [_judgement_json(decision, judgement) for decision, judgement in judged],
            "autosurgeon_overrides": words,
        },
    )


def _judgement_json(decision: Decision, judgement: Judgement) -> Json:
    """Return a judgement with the digest of its evidence in place of the evidence."""
    content = judgement.model_dump(mode="json", exclude={"evidence"})
    digest = decision.evidence_digest or digest_json(judgement.model_dump(mode="json")["evidence"])
    return {"decision_id": decision.decision_id, "at": decision.at, "evidence_digest": digest, **content}


def _second(at: str) -> str:
    """Format a time as in-toto does: UTC, to the second."""
    return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
