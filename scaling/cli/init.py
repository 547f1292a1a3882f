"""`scaling init`: a first experiments file, or the command that fits a table of runs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from scaling.cli.output import messages, print_text
from scaling.errors import UnknownName, UsageError

__all__ = ["EXAMPLES", "init_command"]

EXAMPLES = """
scaling init                     # experiments.yaml: the default study, on images that come with the package

scaling init images photos       # a study of your images, one folder a class; -o photos.yaml names the file

scaling init models              # my_models.py, a family of Flax modules to change, and experiments.yaml, which trains it

scaling init table runs.csv      # the command that fits runs trained elsewhere
"""

_KINDS = ("digits", "images", "models", "table")


def init_command(
    kind: Annotated[str, typer.Argument(metavar="[digits|images|models|table]", help="What the study is of.")] = "digits",
    source: Annotated[
        str | None, typer.Argument(metavar="[FOLDER|FILE]", help="The folder of images, or the table of runs.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; experiments.yaml when left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a first experiments file, with comments, that `scaling submit` runs; or print the command that fits a table.

    With `digits` it is the default study. `images FOLDER` looks at the images, and
    writes sizes, budgets and a batch that go with them. `models` also writes
    my_models.py, a small family of Flax modules that the study trains. With
    `table FILE` there is nothing to train. It looks at the columns, and prints the
    `scaling fit` that reads them, with what each was taken for.
    """
    if kind not in _KINDS:
        raise UnknownName(
            "kind of study",
            kind,
            _KINDS,
            hint="scaling init digits, scaling init images FOLDER, scaling init models, scaling init table FILE",
        )
    if (source is None) != (kind in ("digits", "models")):
        wanted = {
            "digits": "nothing more",
            "models": "nothing more",
            "images": "a folder: scaling init images FOLDER",
            "table": "a file: scaling init table FILE",
        }
        raise UsageError(f"`scaling init {kind}` takes {wanted[kind]}", hint="scaling init --help shows examples")
    if kind == "table":
        if output is not None:
            raise UsageError("`scaling init table` prints a command and writes no file", hint="leave out --output")
        _print_table(source or "")
        return
    file = output or Path("experiments.yaml")
    module = file.with_name("my_models.py")
    for path in (file, module) if kind == "models" else (file,):
        if os.path.lexists(path) and not force:
            raise UsageError(f"{path} is there already", hint="--force replaces it, -o OTHER.yaml writes another")
    from orchestrator.experiments_file.drafts import shipped, study_of_images

    if kind == "digits":
        text, found = shipped("experiments.yaml"), "the default study"
    elif kind == "models":
        _write(module, shipped(module.name))
        text, found = shipped("my_models.yaml"), f"a study of the models of {module}, which `scaling docs models` explains"
    else:
        draft = study_of_images(source or "")
        text, found = draft.text, draft.found
    _write(file, text)
    err = messages()
    err.print(f"{file}: {found}", highlight=False, markup=False, soft_wrap=True)
    quoted = shlex.quote(str(file))
    err.print(
        f"next: `scaling submit {quoted} --dry-run` shows what it trains, `scaling submit {quoted}` trains it",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", hint="name another with --output") from error


def _print_table(file: str) -> None:
    """Print the command, what each column was taken for, and what the command will say.

    All but the commands are comments of a shell.
    """
    from analysis import fit_all, read_runs
    from analysis.reading.guess import guess
    from analysis.reading.units import check_units
    from analysis.sentence import next_commands
    from scaling.cli.printable import printable

    table = read_runs(file)
    found = guess(table)
    options = ["--data", file, *found.options]
    asked = [
        *(["--metric", found.metric] if found.metric != "val_loss" else []),
        *(["--x", found.x] if found.x != "core_hours" else []),
    ]
    width = max(len(ours) for ours, _ in found.taken)
    lines = [f"# {file}: {len(table)} rows. What its columns were taken for; change what is wrong:"]
    lines += [f"#   {ours.ljust(width)}  {theirs}" for ours, theirs in found.taken]
    lines += [f"#   not used: {', '.join(found.unused)}"] if found.unused else []
    print_text("".join(f"{printable(line)}\n" for line in lines))
    print_text(shlex.join(["scaling", "fit", *asked, *options]) + "\n")
    fits, _ = fit_all(
        read_runs(file, found.mapping, check_units([f"{ours}={unit}" for ours, unit in found.units.items()])),
        metric=found.metric,
        x=found.x,
    )
    print_text(f"# It says: {fits[0].answer.sentence}\n")
    for command, what in next_commands(fits[0].answer, options):
        if not command.startswith("scaling fit"):
            print_text(f"{command}   # {what}\n")
