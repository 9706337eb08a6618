"""`autosurgeon notify`: a test of the command and the webhook of `[notify]`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from autosurgeon.cli.options import ConfigOption, JsonOption, WorkspaceOption
from autosurgeon.errors import ExitCode, UserError

if TYPE_CHECKING:
    from autosurgeon.loop.engine.delivery import Delivery

app = typer.Typer(no_args_is_help=True, help="Notifications: send a test.")


@app.command("test")
def test(workspace: WorkspaceOption = Path("."), config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Send a test document through command and webhook; exit code 15 if one of them fails."""
    from autosurgeon.cli.render import print_json, print_table
    from autosurgeon.loop.engine.notify import send_test
    from autosurgeon.wiring import settings_of

    settings = settings_of(workspace, config).notify
    if not settings.command and settings.webhook is None:
        raise UserError(
            "there is nothing to test", wanted="command or webhook under [notify]", where="autosurgeon.toml"
        )
    ends = send_test(settings, workspace)
    if as_json:
        print_json([end._asdict() for end in ends])
    else:
        rows = [(f"notify.{end.channel}", "passed" if end.ok else "failed", describe_delivery(end)) for end in ends]
        print_table("notify test", ("channel", "result", "found"), rows)
    if not all(end.ok for end in ends):
        raise typer.Exit(ExitCode.FINDING)


HINTS = {
    "FileNotFoundError": "the program or the interpreter in its first line does not exist",
    "PermissionError": "the program is not executable: `chmod +x`",
    "OSError": "this machine cannot start the program; it may lack a #! line",
    "deadline": "it did not end in time (notify.deadline_s)",
    "URLError": "the host is unknown or does not answer",
    "ValueError": "this is not an http or https address",
    "BrokenPipeError": "the command ended before it read the document",
}


def describe_delivery(end: Delivery) -> str:
    """Describe a delivery's result, with a hint for an error."""
    hint = HINTS.get(end.found)
    return "; ".join(filter(None, [end.found, hint, end.output and f"its last line: {end.output}"]))
