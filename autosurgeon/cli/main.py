"""The program `autosurgeon`: its commands, and the one place where errors become lines and exit codes."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from autosurgeon import __version__
from autosurgeon.cli import (
    anchors,
    audit,
    bench,
    control,
    doctor,
    init,
    lab,
    override,
    packs,
    passes,
    policy,
    report,
    run,
    service,
    simulate,
    status,
    study,
)
from autosurgeon.errors import AutosurgeonError
from autosurgeon.failpoints import VARIABLE, arm

app = typer.Typer(
    name="autosurgeon",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="An unattended improvement loop for small code models that cannot ship a regression.",
)
app.command("init")(init.init)
app.command("run")(run.run)
app.command("status")(status.status)
app.command("stop")(control.stop)
app.command("pause")(control.pause)
app.command("resume")(control.resume)
app.command("report")(report.report)
app.command("simulate")(simulate.simulate)
app.command("study")(study.study)
app.add_typer(passes.app, name="pass")
app.add_typer(packs.app, name="pack")
app.add_typer(anchors.app, name="anchors")
app.add_typer(policy.app, name="policy")
app.command("override")(override.override)
app.add_typer(bench.app, name="bench")
app.add_typer(audit.app, name="audit")
app.add_typer(service.app, name="service")
app.add_typer(lab.app, name="lab")
app.command("doctor")(doctor.doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"autosurgeon {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the program; errors that a person can mend are one line on standard error."""
    try:
        arm(os.environ.get(VARIABLE))
        app()
    except AutosurgeonError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted; `autosurgeon run` with the same workspace goes on from the last finished stage", 130)
    except BrokenPipeError:
        # Whoever read our output has gone; say nothing more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno == errno.EIO:
            _fail(f"the disk failed: {error}; look at the disk, then run again: what matters is read back", 4)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _fail(f"the disk is full; free some space and run again, nothing is lost ({error.filename})", 2)


def _fail(line: str, code: int) -> None:
    sys.stderr.write(f"error: {line}\n")
    sys.exit(code)
