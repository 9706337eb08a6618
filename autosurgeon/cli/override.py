"""`autosurgeon override`: a person's decision against a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autosurgeon.cli.options import ConfigOption, WorkspaceOption, encodable


def override(
    number: Annotated[int, typer.Argument(metavar="PASS", help="The pass's number.")],
    verdict: Annotated[str, typer.Option("--verdict", help="accept, or reject for an open pass.")],
    reason: Annotated[str, typer.Option("--reason", help="Reason; written into the decision.", callback=encodable)],
    expires: Annotated[str, typer.Option("--expires", help="End: a day or time in UTC, or +12h, or +3d.")],
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
) -> None:
    """Accept a pass at the gate that refused it, or reject an open pass; recorded with person, reason and end.

    The next `run` applies it. An INVALID verdict cannot be overridden, nor a pass accepted after live has moved on.
    """
    from autosurgeon.cli.logs import logging_to
    from autosurgeon.cli.moments import moment
    from autosurgeon.cli.render import say
    from autosurgeon.cli.view import reporting
    from autosurgeon.core.decision import Verdict
    from autosurgeon.core.person import current_person
    from autosurgeon.errors import UserError
    from autosurgeon.loop.decide.overrides import override as write
    from autosurgeon.loop.engine.limits import Limits
    from autosurgeon.wiring import open_loop, open_store, settings_of

    if verdict.upper() not in ("ACCEPT", "REJECT"):
        raise UserError("an override accepts or rejects", got=repr(verdict), wanted="accept or reject")
    until = moment(expires, "--expires")
    with open_store(workspace, writes=True) as store:
        store.get_pass(number)
    with (
        reporting() as reporter,
        open_loop(workspace, settings_of(workspace, config), reporter, Limits()) as ins,
        logging_to(ins.workspace.operations),
    ):
        word = Verdict(verdict.upper())
        decision = write(ins, number, word, by=current_person(), reason=reason, expires_at=until)
        state = ins.store.get_pass(number).state
    assert decision.override is not None  # just written
    then = f"`autosurgeon run` continues it before {decision.override.expires_at}" if word == Verdict.ACCEPT else ""
    say(f"pass {number} is {state.value}; {then}".rstrip("; "))
