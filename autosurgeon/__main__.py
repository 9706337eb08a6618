"""`python -m autosurgeon` runs `autosurgeon`, or prints one line if a package that it needs is broken."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program; if a package cannot be imported, print the command that fixes it."""
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
