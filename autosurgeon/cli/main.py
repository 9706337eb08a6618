"""The program `autosurgeon`: its commands, and the one place where errors become lines and exit codes."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, NoReturn

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
from autosurgeon.errors import AutosurgeonError, ExitCode
from autosurgeon.failpoints import VARIABLE, arm

INTERRUPTED = "interrupted; `autosurgeon run` with the same workspace goes on from the last finished stage"

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
    """Run the program, and end with a code of `EXITS`; errors that a person can mend are one line on standard error."""
    try:
        arm(os.environ.get(VARIABLE))
        app()
    except SystemExit as ended:
        # Typer ends by itself on a closed pipe, with the code of a fault, and on an interrupt, without a line.
        if not _is_read() or isinstance(ended.__context__, BrokenPipeError):
            sys.exit(ExitCode.CLOSED_PIPE)
        if ended.code == ExitCode.INTERRUPTED:
            _fail(INTERRUPTED, ExitCode.INTERRUPTED)
        raise
    except AutosurgeonError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail(INTERRUPTED, ExitCode.INTERRUPTED)
    except BrokenPipeError:
        _is_read()
        sys.exit(ExitCode.CLOSED_PIPE)
    except OSError as error:
        if error.errno == errno.EIO:
            line = f"the disk failed: {error}; look at the disk, then run again: what matters is read back"
            _fail(line, ExitCode.DISK)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _fail(f"the disk is full; free some space and run again, nothing is lost ({error.filename})", ExitCode.INPUT)


def _fail(line: str, code: ExitCode) -> NoReturn:
    sys.stderr.write(f"error: {line}\n")
    _is_read()
    sys.exit(code)


def _is_read() -> bool:
    """Whether the output still has a reader, once all of it is written; the rest goes nowhere where it has none.

    The interpreter flushes at exit, and makes a closed pipe an exit code of its own, 120.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
