"""`autosurgeon bench`: answers of any model, graded and compared."""

from __future__ import annotations

import typer

from autosurgeon.cli import bench_compare

app = typer.Typer(no_args_is_help=True, help="Answers of any model, graded and compared.")
app.command("compare")(bench_compare.compare)
