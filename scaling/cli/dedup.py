"""`scaling dedup`: images that occur more than once, within a data set or in two, and the list of those to leave out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaling.cli.options import AsJson, Db

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import TaskID

    from trainer.duplicates.checked import Checked
    from trainer.duplicates.finding import Searched

__all__ = ["EXAMPLES", "dedup_command"]

EXAMPLES = """
scaling dedup experiments.yaml                                  # writes exclude.parquet, for `dataset: {exclude: exclude.parquet}`

scaling dedup experiments.yaml --report dup.html                # with counts, and pairs as pictures

scaling dedup --a photos --b flowers -o exclude.parquet         # two data sets: images of the first are listed

scaling dedup --a photos --json                                 # one alone: every pair with both ids and the rule
"""


def dedup_command(
    file: Annotated[Path | None, typer.Argument(help="The experiments file.")] = None,
    a: Annotated[
        str | None,
        typer.Option(
            "--a", metavar="DATA", help='A data set: a folder, a name, package.module:factory, or "{name: parquet, path: …}".'
        ),
    ] = None,
    b: Annotated[str | None, typer.Option("--b", metavar="DATA", help="Another: images of --a that are in it are listed.")] = None,
    within: Annotated[
        bool, typer.Option("--within", help="Also list images of a training split that are in it more than once; --a alone does.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="LIST", help="The list to write, for `dataset: {exclude: LIST}`; of FILE, exclude.parquet."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write an HTML page: counts by rule, pairs as pictures.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option("--network", metavar="RUN", help="Let the features of this run's network propose pairs, not the fixed ones."),
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes that read images; default all cores.")] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            "--work", metavar="FOLDER", help="Where a search keeps what it computed; default ~/.cache/scaling/duplicates."
        ),
    ] = None,
    db: Db = "scaling.db",
    as_json: AsJson = False,
) -> None:
    """Find images that occur more than once, exactly or nearly, and list those to leave out of training.

    Of a file: its training images against its held-out ones and, where it
    fine-tunes, against both splits of that data set. A hash or features propose
    pairs; the pixels, laid over each other, decide. Held-out images are never
    listed. A search that was cut short goes on where it stopped.
    """
    from orchestrator.duplicates import dedup
    from scaling.cli.output import console, messages, print_json
    from scaling.columns import SCHEMA_VERSION
    from scaling.errors import UsageError
    from trainer.data.exclusion import ExclusionList
    from trainer.users_code import look_in

    look_in(Path.cwd())
    listed = Path("exclude.parquet") if output is None and file is not None else output
    for target in (listed, report):
        _check(target)
    before = ExclusionList.read(listed) if listed is not None and listed.expanduser().exists() else None
    with _progress() as show:
        checked = dedup(file, a=a, b=b, within=within, network=network, db=db, work=work, workers=workers, on_progress=show)
    if before is not None and not any(before.is_of(split.fingerprint) for split in checked.splits):
        raise UsageError(f"{listed} is a list for {before.whose}: it was left as it is", hint="-o names another file")
    try:
        if listed is not None:
            checked.excluded.write(listed)
        if report is not None:
            from trainer.duplicates.report import write_report

            write_report(checked, report.expanduser(), listed=listed)
    except OSError as error:
        raise UsageError(
            f"{error.filename or listed} cannot be written: {error.strerror or error}", hint="free some space, or name another file"
        ) from error
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "list": None if listed is None else str(listed), **checked.to_dict()})
        return
    out = console()
    for sentence in _sentences(checked, listed):
        out.print(sentence, highlight=False, markup=False, soft_wrap=True)
    if report is not None:
        messages().print(f"{report}: open it in a browser", highlight=False, markup=False)


def _check(target: Path | None) -> None:
    """Refuse a file that cannot be written, before anything is searched. Raises `UsageError`."""
    from scaling.errors import UsageError

    if target is None:
        return
    place = target.expanduser()
    if place.is_dir():
        raise UsageError(f"{target} is a folder", hint="name the file to write")
    if not place.parent.is_dir() or not os.access(place.parent, os.W_OK):
        raise UsageError(
            f"{target} cannot be written: {place.parent} {'may not be written' if place.parent.is_dir() else 'is no folder'}",
            hint="name another file",
        )


@contextmanager
def _progress() -> Iterator[Callable[[Searched], None]]:
    """Show on stderr how far a search is: a bar in a terminal, elsewhere a line for each part of it."""
    from scaling.cli.output import messages

    err = messages()
    if not err.is_terminal:
        told: set[str] = set()

        def say(searched: Searched) -> None:
            if searched.done == searched.total and searched.what not in told:
                told.add(searched.what)
                err.print(f"{searched.what}: {searched.total:,}", highlight=False, markup=False)

        yield say
        return

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err) as bar:
        tasks: dict[str, TaskID] = {}

        def show(searched: Searched) -> None:
            if not searched.total:
                return
            if searched.what not in tasks:
                tasks[searched.what] = bar.add_task(searched.what)
            bar.update(tasks[searched.what], completed=searched.done, total=searched.total)

        yield show


def _sentences(checked: Checked, listed: Path | None) -> Iterator[str]:
    """Say what was found, and what to do with the list."""
    called = checked.called
    for each in checked.found:
        where = f"within {called(each.a)}" if each.is_within else f"{called(each.a)} against {called(each.b)}"
        found = ", ".join(f"{count:,} {rule}" for rule, count in each.by_rule.items() if count)
        sizes = f"{len(each.a):,}" if each.is_within else f"{len(each.a):,} × {len(each.b):,}"
        yield f"{where} ({sizes} images): {_count(len(each.pairs), 'pair')}{f' ({found})' if found else ''}"
    for split, bad in checked.unreadable:
        first, reason = bad[0]
        yield f"{_count(len(bad), 'image')} of {called(split)} cannot be read and {'was' if len(bad) == 1 else 'were'} not compared: {first}: {reason}"
    if conflicts := checked.conflicts:
        each, pair = conflicts[0]
        labels = f"{each.a.id(pair.a)} is {each.a.label(pair.a)}, {each.b.id(pair.b)} is {each.b.label(pair.b)}"
        yield f"{_count(len(conflicts), 'pair')} whose labels differ: {labels}"
    named = {(split.fingerprint, split.name): split for split in checked.splits}
    for place, (left, images) in checked.left.items():
        none = ": nothing would be left" if not left else ""
        lists = "duplicates are" if listed is None else f"{listed} lists"
        yield f"{lists} {_count(images - left, 'image')} of the {images:,} in {called(named[place])}{none}"
    if listed is None:
        yield "no list was written: -o exclude.parquet writes one"
        return
    usable = dict.fromkeys(named[place].data for place, (left, _) in checked.left.items() if place[1] == "train" and left)
    if usable:
        yield f"to leave them out, write `exclude: {listed}` into the `dataset:` of {' and of '.join(usable)}"
    elif any(name == "images" for _, name in checked.left):
        yield "a folder of images in no order is no data set of a study: name the data set as the file does, --a '{name: imagefolder, path: …, train_px: …}'"
    elif not checked.left:
        yield f"{listed} lists no image; `exclude: {listed}` in `dataset:` says that it was looked for"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
