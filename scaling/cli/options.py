"""Options that several commands share, spelled once."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["AsCsv", "AsJson", "Db", "Experiment", "Home", "Server"]

Db = Annotated[str, typer.Option("--db", envvar="SCALING_DB", help="Database: a path, or a SQLAlchemy URL.")]
Home = Annotated[
    str,
    typer.Option("--home", metavar="FOLDER", envvar="SCALING_HOME", help="Folder for checkpoints and logs of the runs; no URL."),
]
Server = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="URL", envvar="SCALING_SERVER", help="Read over HTTP from a `scaling serve` elsewhere, not from --db."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="The table as CSV on stdout.")]
Experiment = Annotated[str | None, typer.Option("--experiment", "-e", help="Only this experiment.")]
