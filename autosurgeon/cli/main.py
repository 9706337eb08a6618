"""The program `autosurgeon`: its commands, and the conversion of errors into lines and exit codes."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer
import typer.main

from autosurgeon import __version__
from autosurgeon.audit.escape import printable
from autosurgeon.cli import (
    anchors,
    audit,
    backup,
    bench,
    control,
    doctor,
    init,
    lab,
    notify,
    override,
    packs,
    passes,
    policy,
    report,
    restore,
    run,
    service,
    simulate,
    status,
    study,
)
from autosurgeon.cli.packages import explain_import
from autosurgeon.cli.parameters import check_parameters
from autosurgeon.cli.streams import OutputLostError, guard_streams
from autosurgeon.errors import AutosurgeonError, ExitCode
from autosurgeon.failpoints import VARIABLE, arm

INTERRUPTED = "interrupted; `autosurgeon run` with the same workspace continues after the last finished stage"

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
app.command("backup")(backup.backup)
app.command("restore")(restore.restore)
app.command("override")(override.override)
app.add_typer(bench.app, name="bench")
app.add_typer(audit.app, name="audit")
app.add_typer(service.app, name="service")
app.add_typer(notify.app, name="notify")
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
    """Take the options before a command."""


def run_command() -> None:
    """Run the command of the program's arguments; ends with SystemExit."""
    command = typer.main.get_command(app)
    check_parameters(command)
    command(prog_name=app.info.name)


def main() -> None:
    """Run the program and exit with a code of `EXITS`; errors that a person can fix are one line on standard error."""
    guard_streams()
    try:
        try:
            arm(os.environ.get(VARIABLE))
            run_command()
        finally:
            # Not at the interpreter's exit, where no handler sees a failed write.
            sys.stdout.flush()
    except SystemExit as ended:
        # Typer exits on an interrupt without a message.
        if ended.code == ExitCode.INTERRUPTED:
            _fail(INTERRUPTED, ExitCode.INTERRUPTED)
        raise
    except AutosurgeonError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail(INTERRUPTED, ExitCode.INTERRUPTED)
    except OutputLostError as lost:
        if lost.reader_is_gone:
            sys.exit(ExitCode.CLOSED_PIPE)
        _fail(str(lost), ExitCode.INPUT)
    except MemoryError:
        _fail("there is not enough memory; an input file may be too large", ExitCode.INPUT)
    except OSError as error:
        _fail(*_explained(error))
    except Exception as error:
        line = explain_import(error)
        if line is None:
            raise
        _fail(str(line), line.exit_code)


def _explained(error: OSError) -> tuple[str, ExitCode]:
    """Return the message and exit code of a system error that no command handles."""
    if error.errno == errno.EIO:
        return (
            f"the disk failed: {error}; check the disk, then run again: the workspace is verified as it is read",
            ExitCode.DISK,
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full; free some space and run again, nothing is lost ({error.filename})", ExitCode.INPUT
    where = f" ({error.filename})" if error.filename is not None else ""
    return f"the system refused: {error.strerror or error}{where}", ExitCode.INPUT


def _fail(line: str, code: ExitCode) -> NoReturn:
    sys.stderr.write(
        f"error: {printable(' '.join(line.split()))}\n"
    )  # without packages: a missing one may be the error
    sys.exit(code)
