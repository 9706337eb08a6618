"""The live pointer, where no judgement moves it: first pack, deployed promotion, override, revert.

A judged promotion or revert moves it in `settle`. All of them write one decision through `settle.decide`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autosurgeon.core.decision import Decision, Override, Verdict
from autosurgeon.core.digest import digest_json
from autosurgeon.core.pass_states import PassState, pass_scope
from autosurgeon.core.person import Person, PersonAct
from autosurgeon.core.records import Feedback
from autosurgeon.core.stage_results import DeployResult
from autosurgeon.errors import PackError, UserError, WorldError
from autosurgeon.failpoints import reach
from autosurgeon.loop.decide.settle import decide
from autosurgeon.loop.deploy.runtime import deploy, restore
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.policy.evidence import baseline_facts
from autosurgeon.policy.judge import judge
from autosurgeon.store.database import utc_now


def make_first_live(ins: Instruments, base: str) -> None:
    """Make the first pack live, if the policy has a rule that accepts it; UserError otherwise."""
    evidence = baseline_facts(verified=bool(ins.packs.verify(base)), live_versions=len(ins.store.live_history()))
    judgement = judge(ins.policy, "baseline", evidence)
    if judgement.verdict != Verdict.ACCEPT:
        raise UserError(
            "the policy does not let the first pack go live",
            got=judgement.reason,
            wanted="rules of phase baseline that accept it",
            where=ins.settings.policy_file,
        )
    decide(
        ins,
        Decision(
            decision_id="base-import",
            pass_number=None,
            judgement=judgement,
            action="baseline",
            reason="the first pack of this workspace: there is nothing yet to compare it with",
            at=utc_now(),
            evidence_digest=digest_json(judgement.evidence),
            packs={"candidate": base},
        ),
        live_pack=base,
    )


def make_live(ins: Instruments, number: int, pack: str, decision_id: str, reason: str, **fields: Any) -> None:
    """Make a pack live by a decision once the runtime serves it; otherwise live stays and the pass is FAILED.

    If the process dies in between, the next start has the runtime serve the live pack, and the promotion begins anew.

    Args:
        ins: the instruments.
        number: the pass, which is judged.
        pack: the candidate.
        decision_id: of the decision that moves live.
        reason: of the decision.
        fields: its other fields.

    """
    error = _deploy(ins, number, pack) if ins.settings.deploy.promote else None
    content = fields | {"pass_number": number, "judgement": None, "pack": pack, "at": utc_now()}
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
    """Have the runtime serve a pack, as a stage of its pass; the error, if there is one.

    A promotion is tried once, and a committed one is run again: each start has the runtime serve what is live.
    """

    def serve(_: Path) -> Done[DeployResult]:
        deployment = deploy(ins, "promote", pack)
        if deployment.error is not None:
            raise WorldError(deployment.error)
        return Done(DeployResult(deployment=deployment))

    ins.packs.verify(pack)
    try:
        once(ins, pass_scope(number), DeployResult, serve, lambda _: False, inputs=pack, attempts=1)
    except WorldError as error:
        return str(error)
    return None


def last_good_pack(ins: Instruments, but: str) -> str:
    """The newest earlier live pack that still verifies, its weights not gone; PackError when there is none."""
    reverted = ins.store.reverted_versions()
    for live in reversed(ins.store.live_history()):
        if live.pack != but and live.version not in reverted:
            try:
                ins.packs.verify(live.pack)
            except PackError as error:
                ins.reporter.say(f"version {live.version} cannot be reverted to: {error}")
                continue
            return live.pack
    wanted = "the weights of one from a backup, in its folder; `autosurgeon pack verify` names what is damaged"
    raise PackError("no earlier live pack verifies, so there is nothing to revert to", wanted=wanted)


def revert(
    ins: Instruments, number: int | None, pack: str, reason: str, to: str | None = None, by: Person | None = None
) -> Decision:
    """Make an earlier pack live again without a judgement: by hand, or since the world kept it from being watched.

    Args:
        ins: the instruments.
        number: the open pass that made the pack, if it is one.
        pack: the pack that is live.
        reason: written down.
        to: the pack to go back to; the last good one when empty.
        by: the person who reverts; None where the loop does.

    """
    live, target, at = ins.store.live(), to or last_good_pack(ins, but=pack), utc_now()
    version = live.version + 1 if live else 1
    act = PersonAct(act="revert", who=by, at=at, reason=reason, pack=target, detail={"from": pack}) if by else None
    return decide(
        ins,
        Decision(
            decision_id=f"revert-v{version}",
            pass_number=number,
            judgement=None,
            action="revert",
            reason=reason,
            at=at,
        ),
        state=PassState.REVERTED if number is not None else None,
        feedback=Feedback(failed=True) if number is not None else None,
        live_pack=target,
        act=act,
    )
