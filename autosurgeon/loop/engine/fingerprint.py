"""The contract of a pass: what it was begun under, what its stages are the effects of, and what a change means."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from autosurgeon.config import Settings
from autosurgeon.core.digest import digest_json, digest_text
from autosurgeon.core.pass_states import PassState, number_of
from autosurgeon.core.records import Contract, PassRecord
from autosurgeon.core.task import Task
from autosurgeon.loop.decide.overrides import standing_override
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.policy.schema import Policy

PACKAGE = Path(__file__).resolve().parent.parent
UNUSED_BY_STAGES = {
    "organ": {"model", "hub", "revision", "reference_lr"},
    "grading": {"workers", "wall_s", "jail", "allow_plain_jail"},
}
"""Settings that change nothing in what a stage of an open pass comes back with; the organ is known by its weights."""


@functools.cache
def code_digest() -> str:
    """Digest of the package's code as this process found it, without the command line, which decides nothing."""
    files = sorted(file for file in PACKAGE.rglob("*.py") if file.relative_to(PACKAGE).parts[0] != "cli")
    return digest_json({file.relative_to(PACKAGE).as_posix(): digest_text(file.read_text("utf-8")) for file in files})


def contract_of(settings: Settings, policy: Policy, tasks: Mapping[str, Task]) -> Contract:
    """What a pass that begins now is begun under."""
    sections: dict[str, Any] = {"seed": settings.seed}
    for name in ("organ", "levers", "anchors", "statistics", "grading", "lab"):
        content = getattr(settings, name).model_dump(mode="json", exclude=UNUSED_BY_STAGES.get(name))
        sections[name] = content
    sections["benches"] = {name: bench.cpu_s for name, bench in settings.benches.items()}
    return Contract(
        code=code_digest(),
        policy=policy.digest,
        tasks=digest_json([task.model_dump(mode="json") for _, task in sorted(tasks.items())]),
        settings={name: digest_json(content) for name, content in sections.items()},
    )


def effect_of(ins: Instruments, scope: str, name: str, inputs: Any) -> str:
    """The identity of what a stage brings about: the same stage of the same things, under the same contract.

    Args:
        ins: the instruments.
        scope: whose stage it is.
        name: the stage.
        inputs: JSON that names what the stage reads: digests, and whatever else its output follows from.

    """
    number = number_of(scope)
    content: dict[str, Any] = {"stage": name, "scope": scope, "inputs": inputs}
    if number is not None:
        record = ins.store.get_pass(number)
        content |= record.model_dump(mode="json", include={"recipe", "parent", "live_before", "contract"})
    return digest_json(content)


def supersede(ins: Instruments, record: PassRecord, now: Contract) -> bool:
    """Whether an open pass was ended as SUPERSEDED, since what it was begun under is another thing by now.

    What it had measured could not be compared with what it would measure from here on. A pass that is live is watched
    all the same, by the policy that it was begun under; one that a person's word makes live is carried out.
    """
    changed = record.contract.changed(now) if record.contract is not None else ["what it was begun under is not known"]
    if not changed or record.state == PassState.LIVE:
        return False
    if record.state == PassState.PACKED and standing_override(ins, record.number, "promotion") is not None:
        return False
    reason = f"begun under another contract: {', '.join(changed)}"
    structlog.get_logger().info("superseded", number=record.number, changed=changed)
    ins.reporter.say(f"pass {record.number} is superseded: {reason}")
    if not ins.store.get_pass(record.number).state.is_finished:  # a word that expired may have ended it just now
        ins.store.advance(record.number, PassState.SUPERSEDED, reason=reason)
    return True


def policy_of(ins: Instruments, record: PassRecord, now: Policy) -> Policy:
    """The policy that a pass was begun under."""
    kept = ins.store.policy(record.contract.policy) if record.contract is not None else None
    return now if kept is None else Policy.model_validate_json(kept)
