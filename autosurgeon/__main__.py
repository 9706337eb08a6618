"""`python -m autosurgeon` is `autosurgeon`: the program, or one line where a package that it needs is broken."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program; where its own import fails because of a package, end with the command that mends it."""
    try:
        from autosurgeon.cli.main import main as run
    except Exception as error:
        from autosurgeon.cli.packages import explain_import

        line = explain_import(error)
        if line is None:
            raise
        sys.stderr.write(f"error: {line}\n")
        sys.exit(line.exit_code)
    run()


if __name__ == "__main__":
    main()
