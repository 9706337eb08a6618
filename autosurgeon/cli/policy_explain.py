"""`autosurgeon policy explain`: the reasons of a decision, and the smallest change that would flip it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autosurgeon.cli.options import JsonOption, SetOption, WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.core.decision import Judgement
    from autosurgeon.policy.counterfactual import Counterfactual
    from autosurgeon.policy.schema import Policy


def explain_decision(
    decision_id: Annotated[str, typer.Argument(help="Such as pass-0004-smoke.", metavar="DECISION")],
    workspace: WorkspaceOption = Path("."),
    policy: Annotated[Path | None, typer.Option("--policy", help="Another policy than the recorded one.")] = None,
    params: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a decision: each rule with its margin and lesson, and the smallest change that would flip the verdict."""
    from autosurgeon.cli.render import RULE_COLUMNS, print_json, print_table, rule_cells, say
    from autosurgeon.policy.counterfactual import counterfactual, first_deciding

    judgement = judgement_of(decision_id, workspace)
    rules, doubt = policy_of(judgement, workspace, policy, params or ())
    turned = counterfactual(rules, judgement.phase, judgement.evidence)
    if turned.judgement.verdict != judgement.verdict:
        doubt += f"; its verdict on this evidence is {turned.judgement.verdict.value}"
    deciding = first_deciding(judgement)
    if as_json:
        print_json(_plain(decision_id, judgement, deciding, doubt, turned))
        return
    rows = [rule_cells(rule) for rule in judgement.rules]
    print_table(f"{decision_id}, policy {judgement.policy}", RULE_COLUMNS, rows)
    say(f"{judgement.verdict.value}: {judgement.reason}")
    if deciding is not None:
        lesson = next(rule.lesson for rule in judgement.rules if rule.rule_id == deciding)
        say(f"first deciding rule: {deciding}: {lesson}")
    if doubt:
        say(doubt)
    say(turned.summary)


def judgement_of(decision_id: str, workspace: Path) -> Judgement:
    """Read the judgement of a decision from the workspace's memory."""
    from autosurgeon.errors import UserError, nearest
    from autosurgeon.wiring import open_store

    with open_store(workspace) as store:
        decisions = {decision.decision_id: decision for decision in store.decisions()}
    if decision_id not in decisions:
        wanted = nearest(decision_id, decisions) if decisions else "a workspace with decisions"
        raise UserError("there is no such decision", got=repr(decision_id), wanted=wanted, where=workspace)
    judgement = decisions[decision_id].judgement
    if judgement is None:
        raise UserError("no policy judged this decision", got=decisions[decision_id].reason, where=decision_id)
    return judgement


def policy_of(
    judgement: Judgement, workspace: Path, file: Path | None, params: list[str] | tuple[str, ...]
) -> tuple[Policy, str]:
    """Find the policy that explains a judgement, and a note if it is not the one that judged.

    Without a file it is the recorded policy, or the workspace's policy if that is not stored or parameters are set.
    """
    from autosurgeon.policy.params import parse_assignments
    from autosurgeon.policy.schema import Policy
    from autosurgeon.wiring import open_store, policy_at

    if file is None and not params:
        with open_store(workspace) as store:
            kept = store.policy(judgement.policy_digest)
        if kept is not None:
            return Policy.model_validate_json(kept), ""
    policy = policy_at(workspace, file, parse_assignments(params))
    if policy.digest == judgement.policy_digest:
        return policy, ""
    judged = f"{judgement.policy} {judgement.policy_digest[:12]}"
    return policy, f"judged by {judged}; the change is computed with {policy.name} {policy.digest[:12]}"


def _plain(
    decision_id: str, judgement: Judgement, deciding: str | None, doubt: str, turned: Counterfactual
) -> dict[str, Any]:
    content = judgement.model_dump(mode="json")
    changes = [change._asdict() | {"message": str(change)} for change in turned.changes]
    return {
        "decision_id": decision_id,
        "phase": judgement.phase,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "first_deciding_rule": deciding,
        "rules": content["rules"],
        "another_policy": doubt or None,
        "flip": {
            "verdict": turned.flipped.verdict.value if turned.flipped else None,
            "changes": changes,
            "smallest": turned.smallest,
            "undecided_because_of": list(turned.undecided),
            "summary": turned.summary,
        },
    }
