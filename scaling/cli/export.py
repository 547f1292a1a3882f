"""`scaling export`: the table of runs as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaling.cli.output import messages
from scaling.cli.runs_input import RunsFrom, print_set_aside, reads_runs
from scaling.errors import UsageError
from scaling.extras import needed_for

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["EXAMPLES", "export_command"]

EXAMPLES = """
scaling export runs.parquet

scaling export runs.csv --experiment digits

scaling export runs.csv --data mlruns --map core_hours=gpu_seconds --unit core_hours=seconds  # theirs in our names and units
"""

_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


@reads_runs(
    without=(
        "chance_loss",
        "cell",
        "clusters",
    )
)
def export_command(
    file: Annotated[Path, typer.Argument(help="What to write; the ending says how: .csv, .tsv, .jsonl or .parquet.")],
    *,
    source: RunsFrom,
) -> None:
    """Write the table of runs to a file, every run with its status, in the names and units of the docs.

    `--data FILE` reads it again.
    """
    if file.suffix.lower() not in _ENDINGS:
        raise UsageError(
            f"{file}: do not know how to write {file.suffix or 'a file without an ending'}", hint=f"known: {', '.join(_ENDINGS)}"
        )
    runs = source.load()
    try:
        _write(runs, file)
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be written: {error.strerror or error}", hint="name a file in a folder that exists"
        ) from error
    print_set_aside(runs, ())
    messages().print(f"{len(runs)} runs in {file}", highlight=False)


def _write(runs: DataFrame, file: Path) -> None:
    ending = file.suffix.lower()
    if ending == ".parquet":
        with needed_for("Parquet files need"):
            import pyarrow  # noqa: F401 - pandas uses it, and says less where it is missing

        runs.to_parquet(file, index=False)
    elif ending == ".jsonl":
        runs.to_json(file, orient="records", lines=True, date_format="iso", double_precision=15)
    else:
        from analysis.as_csv import as_csv

        as_csv(runs, file, separator="\t" if ending == ".tsv" else ",")
