"""Options that several commands share, spelled once."""

from __future__ import annotations

import re
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import typer

from analysis.questions import Parameter, Question

__all__ = ["AsCsv", "AsJson", "Db", "Experiment", "Home", "Server", "in_words", "option"]

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


def option(question: type[Question], name: str) -> Any:
    """Make the type of a command's option from a parameter of a question."""
    each = question.parameters()[name]
    least = int(each.asked.least) if each.asked.least is not None and each.type is int else None
    flag = f"--{name.replace('_', '-')}"
    return Annotated[_kind(each), typer.Option(flag, metavar=each.asked.shape, min=least, help=in_words(question, name))]


def in_words(question: type[Question], name: str) -> str:
    """Describe a parameter of a question, with others named as on the command line: `at_epochs` is --at-epochs there."""
    asked, known = question.parameters()[name].asked, question.parameters()
    said = f"{asked.help} {asked.more}".strip()
    return re.sub(r"`(\w+)`", lambda word: f"--{word[1].replace('_', '-')}" if word[1] in known else word[0], said)


def _kind(each: Parameter) -> Any:
    """Return Typer's type: a list for a repeated option, a text for a choice, which the analysis refuses by name."""
    parts = get_args(each.type)
    if get_origin(each.type) is tuple:
        return list[str] | None
    kind = next((kind for kind in (float, int) if kind is each.type or kind in parts), str)
    return kind | None if NoneType in parts else kind
