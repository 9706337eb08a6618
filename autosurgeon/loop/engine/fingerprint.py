"""The contract of a pass: settings, policy and code at its begin, the ids of effects, and changes since."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

import autosurgeon
from autosurgeon.bench.packages import find_packages
from autosurgeon.config import Settings
from autosurgeon.core.digest import digest_json, digest_text
from autosurgeon.core.pass_states import PassState, number_of
from autosurgeon.core.person import PersonAct, current_person
from autosurgeon.core.records import Contract, PassRecord
from autosurgeon.core.task import Task
from autosurgeon.errors import PolicyError, UserError
from autosurgeon.loop.decide.overrides import standing_override
from autosurgeon.loop.engine.in_force import kept_policy
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.policy.schema import Policy
from autosurgeon.store.database import utc_now

PACKAGE = Path(autosurgeon.__file__).resolve().parent
UNUSED_BY_STAGES = {
    "organ": {"model", "hub", "revision", "reference_lr"},
    "grading": {"workers", "wall_s", "jail", "allow_plain_jail"},
}
"""Settings that do not affect the result of a stage of an open pass; the organ is identified by its weights."""


@functools.cache
def code_digest() -> str:
    """The digest of the package's code in this process, without the command line, which decides nothing."""
    files = sorted(file for file in PACKAGE.rglob("*.py") if file.relative_to(PACKAGE).parts[0] != "cli")
    return digest_json({file.relative_to(PACKAGE).as_posix(): digest_text(file.read_text("utf-8")) for file in files})


def contract_of(settings: Settings, policy: Policy, tasks: Mapping[str, Task]) -> Contract:
    """The contract of a pass that begins now."""
    sections: dict[str, Any] = {"seed": settings.seed}
    for name in ("organ", "levers", "anchors", "statistics", "grading", "lab"):
        content = getattr(settings, name).model_dump(mode="json", exclude=UNUSED_BY_STAGES.get(name))
        sections[name] = content
    if settings.grading.packages:
        sections["grading"]["packages"] = [package[:2] for package in find_packages(settings.grading.packages)]
    sections["benches"] = {name: bench.cpu_s for name, bench in settings.benches.items()}
    return Contract(
        code=code_digest(),
        policy=policy.digest,
        tasks=digest_json([task.model_dump(mode="json") for _, task in sorted(tasks.items())]),
        settings={name: digest_json(content) for name, content in sections.items()},
        seed=settings.seed,
    )


def effect_of(ins: Instruments, scope: str, name: str, inputs: Any) -> str:
    """The id of a stage's effect: equal for the same stage with the same inputs under the same contract.

    Args:
        ins: the instruments.
        scope: the scope of the stage.
        name: the stage.
        inputs: JSON of everything that determines the output, such as digests of what the stage reads.

    """
    number = number_of(scope)
    content: dict[str, Any] = {"stage": name, "scope": scope, "inputs": inputs}
    if number is not None:
        record = ins.store.get_pass(number)
        content |= record.model_dump(mode="json", include={"recipe", "parent", "live_before"})
        # Without the seed, which older contracts lack; the settings' digest covers it.
        content["contract"] = record.contract and record.contract.model_dump(mode="json", exclude={"seed"})
    return digest_json(content)


def settle_open_pass(ins: Instruments, *, supersede: bool = False, why: str = "") -> PassRecord | None:
    """Check that an open pass can be finished under its contract, or give it up at a person's request.

    Measurements under another contract cannot be compared. A pass that is live is watched in any case, by its own
    policy, and one that a person's override accepts is finished.

    Args:
        ins: the instruments.
        supersede: whether a person gives up the open pass.
        why: the person's reason, if any.

    Returns:
        The pass that was given up, if any.

    Raises:
        UserError: it cannot be finished under its contract, and no person gives it up.

    """
    record = next(iter(ins.store.open_passes()), None)
    if record is None:
        if supersede:
            ins.reporter.say("no pass is open: --supersede gives nothing up")
        return None
    changed = _changed_since(ins, record)
    if not (changed or supersede):
        return None
    if _goes_on(ins, record):
        if supersede:
            ins.reporter.say(f"pass {record.number} is live or accepted by a person: --supersede does not give it up")
        return None
    if ins.store.get_pass(record.number).state.is_finished:  # an expired override ends it
        return None
    if not supersede:
        raise UserError(
            f"pass {record.number} is open in state {record.state.value} and cannot be finished as it was begun",
            got=f"changes since then: {', '.join(changed)}",
            wanted="what it was begun under put back, or `autosurgeon run --supersede`, which gives the pass up",
        )
    _give_up(ins, record, changed, why)
    return ins.store.get_pass(record.number)


def _goes_on(ins: Instruments, record: PassRecord) -> bool:
    """Whether a pass continues despite changes."""
    if record.state == PassState.LIVE:
        return True
    return record.state == PassState.PACKED and standing_override(ins, record.number, "promotion") is not None


def _changed_since(ins: Instruments, record: PassRecord) -> list[str]:
    """The changes that prevent finishing a pass, in words.

    Another policy or seed does not: the pass continues under its own, if the memory has both.
    """
    begun = record.contract
    if begun is None:
        return ["what it was begun under is not recorded"]
    now = contract_of(ins.settings, ins.policy, ins.tasks)
    ours = {"policy", "settings [seed]"}
    changed = begun.changed(now)
    words = [what for what in changed if what not in ours]
    if begun.seed is None and "settings [seed]" in changed:
        words.append("seed")
    if begun.policy != ins.policy.digest:
        try:
            kept_policy(ins.store, begun.policy)
        except PolicyError as error:
            words.append(f"policy ({error})")
    return words


def _give_up(ins: Instruments, record: PassRecord, changed: list[str], why: str) -> None:
    cause = f"begun under another contract: {', '.join(changed)}" if changed else "it could have been finished"
    act = PersonAct(
        act="supersede",
        who=current_person(),
        at=utc_now(),
        reason=why.strip(),
        pass_number=record.number,
        detail={"changed": changed},
    )
    whole = f"given up by {act.who.words}: {cause}" + (f"; {act.reason}" if act.reason else "")
    structlog.get_logger().info("superseded", number=record.number, changed=changed)
    ins.store.advance(record.number, PassState.SUPERSEDED, reason=whole, act=act)


def under_contract(ins: Instruments, record: PassRecord) -> Instruments:
    """The instruments with the policy and the seed of a pass's contract, if the memory has them."""
    begun = record.contract
    if begun is None:
        return ins
    content = ins.store.policy(begun.policy)
    policy = ins.policy if content is None else Policy.model_validate_json(content)
    seed = ins.settings.seed if begun.seed is None else begun.seed
    if (policy.digest, seed) == (ins.policy.digest, ins.settings.seed):
        return ins
    settings = ins.settings.model_copy(update={"seed": seed})
    return dataclasses.replace(ins, policy=policy, settings=settings)
