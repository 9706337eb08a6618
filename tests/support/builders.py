"""Values that many tests need, with everything that a test does not care about filled in."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from autosurgeon.audit.log_projection import project
from autosurgeon.bench.results import ResultRow
from autosurgeon.core.decision import Decision, Evidence, Phase
from autosurgeon.core.envelope import ORGAN, Condition, Envelope, Mode, Poison
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import Contract, Feedback, PassRecord
from autosurgeon.core.task import Case, Split, Task
from autosurgeon.policy.judge import judge
from autosurgeon.policy.schema import Policy

BENCHED: Evidence = {
    "bench.tasks": 9,
    "bench.same_conditions": True,
    "bench.fallbacks": 0,
    "bench.foreign": 0,
}
"""What a promotion's evidence holds if it is any."""
NOON = "2030-01-01T12:00:00.000000+00:00"


def make_task(task_id: str = "b/0", *, cases: Iterable[tuple[str, str]] = (("(1,)", "1"),), **changes: Any) -> Task:
    """A function task `solve` on bench `b`, in the surgery split."""
    content: dict[str, Any] = {
        "task_id": task_id,
        "bench": task_id.split("/")[0],
        "kind": "function",
        "prompt": f"# {task_id}\n",
        "entry_point": "solve",
        "cases": tuple(Case(given=given, wanted=wanted) for given, wanted in cases),
        "reference": "def solve(x):\n    return x\n",
        "cluster": task_id,
        "split": Split.SURGERY,
    }
    return Task.model_validate(content | changes)


def make_envelope(task_id: str = "b/0", *, passed: bool = True, **changes: Any) -> Envelope:
    """The organ's result on one task; `handler`, `fallback` and `fingerprint` go into its condition."""
    cond = Condition(
        mode=Mode.ORGAN_ALONE,
        pack=changes.pop("pack", "p"),
        handler=changes.pop("handler", ORGAN),
        fallback=changes.pop("fallback", False),
        fingerprint=changes.pop("fingerprint", "greedy"),
    )
    content: dict[str, Any] = {
        "task_id": task_id,
        "bench": task_id.split("/")[0],
        "split": "gate",
        "food": int(passed),
        "poison": None if passed else Poison.WRONG,
        "cond": cond,
    }
    return Envelope.model_validate(content | changes)


def make_result(task_id: str = "b/0", verdict: str = "pass", **changes: Any) -> ResultRow:
    """A row of a result file; one that failed was wrong."""
    content: dict[str, Any] = {
        "task_id": task_id,
        "sample": 0,
        "verdict": verdict,
        "cause": Poison.WRONG if verdict == "fail" else None,
        "tier": "split",
        "jail": "bwrap",
        "cpu_s": 0.25,
        "food": 1,
    }
    return ResultRow.model_validate(content | changes)


def make_results(passed: Mapping[str, bool], **changes: Any) -> dict[str, Envelope]:
    """Envelopes by task id."""
    return {task_id: make_envelope(task_id, passed=won, **changes) for task_id, won in passed.items()}


def make_contract(**changes: Any) -> Contract:
    """What a pass was begun under."""
    return Contract.model_validate({"code": "c", "policy": "p", "tasks": "t", "settings": {"seed": "0"}} | changes)


def make_recipe(**changes: Any) -> Recipe:
    """A careful recipe."""
    return Recipe.model_validate({"lr": 1e-3} | changes)


def make_record(number: int = 1, *, feedback: Feedback | None = None, **recipe: Any) -> PassRecord:
    """A pass that ended, with the feedback for the proposer."""
    return PassRecord(
        number=number,
        state=PassState.REJECTED,
        verdict=None,
        reason="",
        recipe=make_recipe(**recipe),
        parent="p",
        live_before="p",
        pack=None,
        feedback=feedback,
        contract=make_contract(),
        started_at=NOON,
        ended_at=NOON,
    )


def make_rule(rule_id: str, fact: str, *, phase: Phase = "promotion", **changes: Any) -> dict[str, Any]:
    """A rule as a YAML would say it."""
    return {"id": rule_id, "phase": phase, "fact": fact, "otherwise": "reject", "lesson": "because"} | changes


def make_policy(*rules: dict[str, Any]) -> Policy:
    """A policy of these rules, without the file's checks."""
    return Policy.model_validate({"schema": "autosurgeon.policy/1", "name": "test", "rules": rules})


def make_decision(decision_id: str = "d-1", *, evidence: Evidence | None = None, **changes: Any) -> Decision:
    """A decision; with evidence, one that a policy of a single training rule judged."""
    policy = make_policy(make_rule("loss", "training.loss", phase="training", at_least=0.1))
    content: dict[str, Any] = {
        "decision_id": decision_id,
        "pass_number": None,
        "judgement": None if evidence is None else judge(policy, "training", evidence),
        "action": "continue",
        "reason": "because",
        "at": NOON,
    }
    return Decision.model_validate(content | changes)


class Decided(NamedTuple):
    """Decisions in their order, asked as a store is."""

    decisions: Sequence[Decision]

    def place_of(self, decision_id: str) -> int | None:
        """A decision's place, from 1 on."""
        return next((n for n, d in enumerate(self.decisions, start=1) if d.decision_id == decision_id), None)

    def after(self, place: int) -> Iterator[Decision]:
        """The decisions after a place."""
        return iter(self.decisions[place:])


def write_log(path: Path, decisions: Sequence[Decision]) -> int:
    """Bring a decision log up to date with decisions that no store holds; how many were added."""
    decided = Decided(decisions)
    return project(path, decided.place_of, decided.after)


def weights_file(tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]]) -> bytes:
    """A safetensors file of (dtype, shape, bytes), its header unpadded, as other people's tools write it."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, (dtype, shape, raw) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + body


def write_checkpoint(folder: Path, *, dtype: str = "BF16", first_byte: int = 1) -> Path:
    """A small checkpoint of two tensors, with its config and tokenizer."""
    folder.mkdir(parents=True)
    width = {"BF16": 2, "F32": 4}[dtype]
    tensors = {
        "embed.weight": (dtype, (3, 2), bytes(range(first_byte, first_byte + 6 * width))),
        "head.weight": (dtype, (2,), bytes(2 * width)),
    }
    (folder / "model.safetensors").write_bytes(weights_file(tensors))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    return folder
