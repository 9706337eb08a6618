"""The product's program, run in this process: to start another one takes longer than most commands do."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from autosurgeon.cli.main import main


def autosurgeon(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The output and exit code of a command, as `python -m autosurgeon` would; not for what signals may end."""
    command, out, err = ["autosurgeon", *map(str, arguments)], io.StringIO(), io.StringIO()
    code: object = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", command)
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    # As the interpreter has it: no code is success, and a text is a failure.
    status = code if isinstance(code, int) else int(code is not None)
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())
