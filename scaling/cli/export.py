"""`scaling export`: the table of runs as a file, or as a bundle with all that a reader needs."""

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

scaling export --bundle digits.zip --experiment digits  # runs, law, sentence, experiments file, versions

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
    file: Annotated[Path | None, typer.Argument(help="What to write; the ending says how: .csv, .tsv, .jsonl or .parquet.")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="OUT.zip", help="Instead: runs, law, sentence, experiments files, versions in one zip."),
    ] = None,
    metric: Annotated[str, typer.Option("--metric", help="With --bundle: what its sentence is about.")] = "val_loss",
    x: Annotated[str, typer.Option("--x", help="With --bundle: the compute that its sentence is about.")] = "core_hours",
    *,
    source: RunsFrom,
) -> None:
    """Write the table of runs to a file, every run with its status, in the names and units of the docs.

    `--data FILE` reads it again. A bundle is for others: `scaling frontier --data OUT.zip`,
    and `scaling frontier` after `scaling import OUT.zip`, say the same sentence there, to
    the character.
    """
    if (file is None) == (bundle is None):
        raise UsageError(
            "what to write? a table, or with --bundle all that a reader needs",
            hint="scaling export runs.csv, or scaling export --bundle OUT.zip",
        )
    if bundle is not None:
        _bundle(bundle, metric, x, source)
        return
    assert file is not None
    if file.suffix.lower() not in _ENDINGS:
        raise UsageError(
            f"{file}: do not know how to write {file.suffix or 'a file without an ending'}",
            hint=f"known: {', '.join(_ENDINGS)}; a bundle: --bundle OUT.zip",
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


def _bundle(path: Path, metric: str, x: str, source: RunsFrom) -> None:
    from orchestrator.bundle import study_files, write_bundle

    files = study_files(source.db, source.experiment) if source.of_a_store else []
    runs = source.load()
    found = write_bundle(runs, path, metric=metric, x=x, files=files)
    err = messages()
    print_set_aside(runs, ())
    files_of = f", {found.files} file{'s' if found.files > 1 else ''} that asked for them" if found.files else ""
    err.print(f"{found.runs} runs{files_of} in {path}", highlight=False, soft_wrap=True)
    err.print(found.sentence or f"no law: {found.no_law}", highlight=False, markup=False, soft_wrap=True)


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
