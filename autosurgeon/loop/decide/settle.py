"""Settle: a judgement becomes a decision, in the store first and then in the files that others read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from autosurgeon.audit.checkpoints import copy_checkpoint, sign_head
from autosurgeon.audit.log_projection import project, project_events
from autosurgeon.core.decision import Decision, Judgement, Verdict
from autosurgeon.core.hash_chain import Head
from autosurgeon.core.pass_states import REACHED, PassState
from autosurgeon.core.records import Feedback
from autosurgeon.core.workspace import Workspace
from autosurgeon.failpoints import reach
from autosurgeon.loop.decide.feedback import feedback_of
from autosurgeon.loop.deploy.runtime import restore
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.packs.livefile import write_live
from autosurgeon.store.database import utc_now
from autosurgeon.store.sqlstore import SqlStore

if TYPE_CHECKING:
    from autosurgeon.audit.signing import Signer

ENDED_BY = {Verdict.REJECT: PassState.REJECTED, Verdict.ERROR: PassState.FAILED}
"""What a pass comes to that a gate does not let go on, HELD by default: a rule that breaks down is no pass's fault."""


def decide(ins: Instruments, decision: Decision, **changes: Any) -> Decision:
    """Write a decision with all that it changes (see SqlStore.decide), and bring the projections up to date with it.

    Where it moved live, the deployed runtime is made to follow.
    """
    decision = ins.store.decide(decision, **changes)
    reach("decided")
    rebuild_projections(ins)
    structlog.get_logger().info(
        "decided", decision=decision.decision_id, action=decision.action, reason=decision.reason
    )
    ins.reporter.decided(decision)
    if decision.live_version is not None:
        restore(ins)
    return decision


def rebuild_projections(ins: Instruments, *, anew: bool = False) -> None:
    """The logs, a signed checkpoint and `live.json` from the store; at every start `anew`, and after every decision."""
    write_record(ins.workspace, ins.store, ins.settings.audit.checkpoint_copy, ins.reporter.say)
    live = ins.store.live()
    if live is not None:
        folder = ins.packs.path(live.pack).relative_to(ins.workspace.live_file.parent)
        write_live(ins.workspace.live_file, version=live.version, pack=live.pack, folder=folder, anew=anew)
    reach("projections-rebuilt")


def write_record(
    workspace: Workspace,
    store: SqlStore,
    copies: Path | None,
    say: Callable[[str], None],
    signer: Signer | None = None,
) -> None:
    """Bring both logs up to date with the store, and sign how far they go.

    Args:
        workspace: whose logs.
        store: its memory.
        copies: where a second copy of the checkpoint goes, setting `audit.checkpoint_copy`.
        say: gets the line that a copy could not be written.
        signer: what signs; the workspace's key where it is left out.

    Raises:
        UserError: the signing key cannot be used.

    """
    head = write_logs(workspace, store)
    # Last, since a checkpoint vouches that both logs go as far as it does.
    path = sign_head(workspace, store, head, utc_now(), signer)
    reach("checkpoint-written")
    if path is None or copies is None:
        return
    try:
        copy_checkpoint(path, workspace.keys, copies)
    except OSError as error:
        # The chain itself is on disk; a second disk that is away is no reason to stop the night.
        structlog.get_logger().warning("checkpoint copy failed", folder=str(copies), error=str(error))
        say(f"a checkpoint could not be copied: {error.strerror or error} ({copies}); the loop goes on")


def write_logs(workspace: Workspace, store: SqlStore) -> Head:
    """Bring both logs up to date with the store, under the workspace's lock; where the chain ends by them."""
    head = store.head()
    project(workspace.decisions, store.place_of, lambda place: store.each_decision(after=place))
    project_events(workspace.events, lambda seq: store.each_event(after=seq, last=head.size))
    return head


def settle(
    ins: Instruments,
    number: int,
    judgement: Judgement,
    *,
    pack: str | None = None,
    climb: float | None = None,
    revert_to: str | None = None,
    story: dict[str, Any] | None = None,
) -> PassState:
    """Write the decision of one phase with all that follows from it; the pass's new state.

    Args:
        ins: the instruments.
        number: the pass.
        judgement: of the phase.
        pack: the packed candidate, which an accepted promotion makes live, unless a runtime has to serve it first.
        climb: the pass's gain on dev, for the proposer.
        revert_to: the pack that a refused watch makes live again.
        story: the decision's other fields: packs, flips, alpha, power, cost.

    """
    accepted = judgement.verdict == Verdict.ACCEPT
    promoted = accepted and judgement.phase == "promotion"
    live_pack = pack if promoted and not ins.settings.deploy.promote else None
    if accepted:
        state = PassState.LIVE if live_pack else REACHED[judgement.phase]
        action = "promote" if live_pack else "continue"
    elif judgement.phase == "watch":
        state, action, live_pack = PassState.REVERTED, "revert", revert_to
    else:
        state, action = ENDED_BY.get(judgement.verdict, PassState.HELD), "stop"
    teaches = (climb is not None or not accepted) and state != PassState.FAILED
    training = next((judged for judged in ins.store.judgements(number) if judged.phase == "training"), None)
    feedback = Feedback(value=climb, **feedback_of(judgement, training, story)) if teaches else None
    if feedback is not None and feedback.value is None:
        known = ins.store.get_pass(number).feedback
        feedback = feedback.model_copy(update={"value": known.value if known else None})
    decide(
        ins,
        Decision(
            decision_id=f"pass-{number:04d}-{judgement.phase}",
            pass_number=number,
            judgement=judgement,
            action=action,
            reason=judgement.reason,
            pack=pack,
            at=utc_now(),
            **(story or {}),
        ),
        state=state,
        feedback=feedback,
        live_pack=live_pack,
        pack=pack,
    )
    return state
