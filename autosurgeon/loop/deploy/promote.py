"""Going live: a pack that may go live is first served by the deployed runtime, and only then does live move."""

from __future__ import annotations

import contextlib
from typing import Any

from autosurgeon.core.decision import Decision, Override
from autosurgeon.core.pass_states import PassState, pass_scope
from autosurgeon.core.records import Deployment, Feedback
from autosurgeon.core.stage_results import DeployResult
from autosurgeon.failpoints import reach
from autosurgeon.loop.decide.settle import decide
from autosurgeon.loop.deploy.runtime import restore, tell
from autosurgeon.loop.engine.fingerprint import effect_of
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.pause import hold
from autosurgeon.runner.usage_meter import NOTHING
from autosurgeon.store.database import utc_now

STAGE = DeployResult.stage


def make_live(ins: Instruments, number: int, pack: str, decision_id: str, reason: str, **told: Any) -> None:
    """Make a pack live by a decision, once the runtime serves it; where it does not, live stays and the pass FAILED.

    Whenever the process dies in between, the next start has the runtime serve what is live, and this begins anew.

    Args:
        ins: the instruments.
        number: the pass, which is judged.
        pack: what it made.
        decision_id: of the decision that moves live.
        reason: of it.
        told: its other fields.

    """
    error = _deploy(ins, number, pack) if ins.settings.deploy.promote else None
    content = told | {"pass_number": number, "judgement": None, "pack": pack, "at": utc_now()}
    if error is None:
        reach("deploy-done")
        decision = Decision(decision_id=decision_id, action="promote", reason=reason, **content)
        decide(ins, decision, state=PassState.LIVE, live_pack=pack, pack=pack)
        return
    reach("deploy-failed")
    restore(ins)
    decision = Decision(decision_id=f"{decision_id}-failed", action="stop", reason=f"live stays: {error}", **content)
    decide(ins, decision, state=PassState.FAILED, feedback=Feedback(failed=True), pack=pack)


def carry_out(ins: Instruments, number: int, word: Override, pack: str) -> None:
    """Make the pack live that a person accepted against the promotion's verdict; once."""
    if ins.store.get_pass(number).state != PassState.PACKED:
        return
    reason = f"accepted by {word.by} against the verdict: {word.reason}"
    make_live(ins, number, pack, f"{word.overrules}-carried-out", reason, override=word)


def _deploy(ins: Instruments, number: int, pack: str) -> str | None:
    """Have the runtime serve a pack, as a stage of its pass; what went wrong, if something did."""
    hold(ins)
    ins.packs.verify(pack)
    scope = pass_scope(number)
    died = ins.store.begin_stage(scope, STAGE)
    ins.reporter.stage_started(scope, STAGE)
    try:
        if died > ins.settings.loop.recoveries:
            error = f"set aside: the process died {died} times while the runtime was told of pack {pack[:12]}"
            told = Deployment(action="promote", pack=pack, version=0, error=error)
        else:
            told = tell(ins, "promote", pack)
        if told.error is not None:
            ins.store.record_failure(scope, STAGE, told.error, told.seconds, NOTHING)
        else:
            result, effect = DeployResult(deployment=told), effect_of(ins, scope, STAGE, pack)
            ins.store.commit_stage(scope, STAGE, result.content(), told.seconds, effect, usage=NOTHING)
    except BaseException:
        # Not for a fault of the command: a person's word, or a disk.
        with contextlib.suppress(Exception):
            ins.store.put_off_stage(scope, STAGE)
        raise
    ins.reporter.stage_ended(told.seconds)
    return told.error
