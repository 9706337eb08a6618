"""`python -m autosurgeon` is `autosurgeon`."""

from autosurgeon.cli.main import main

main()
