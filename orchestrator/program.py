"""A training program of a user's: its command for a run, and what that may name."""

from __future__ import annotations

from string import Formatter

from scaling.columns import COLUMNS, column_name
from scaling.errors import UsageError
from trainer.config import TrainConfig

__all__ = ["FIELDS", "SCORES", "command_of", "fields_in", "why_no_name"]

FIELDS = ("model", "epochs", "learning_rate", "seed", "batch_size")
"""What a command may name besides the fields of its models."""

SCORES = ("val_loss", "val_top1", "val_top5", "train_loss", "chance_loss")
"""Columns of every run that a program may report."""


def fields_in(word: str) -> list[str]:
    """List the fields in braces of a word of a command. Raises `UsageError` for braces that name none; `{{` stands for a brace."""
    try:
        parsed = list(Formatter().parse(word))
    except ValueError as error:
        raise UsageError(f"{word!r}: {error}", hint="a brace that is meant is written twice: {{") from None
    names = [name for _, name, _, _ in parsed if name is not None]
    if bad := [name for name in names if not name.isidentifier()]:
        raise UsageError(f"{word!r}: {{{bad[0]}}} names no field", hint="a brace that is meant is written twice: {{")
    if formatted := [name for _, name, spec, how in parsed if spec or how]:
        raise UsageError(f"{word!r}: {formatted[0]} has a format", hint=f"write {{{formatted[0]}}}, and let the program format it")
    return names


def why_no_name(name: str) -> str | None:
    """Say why a metric, or a field of a model, may not be called so: tables have a column of that name, or know one by it. None where it may."""
    if not name or name != name.strip():
        return "is blank, or begins or ends with a blank"
    if name in COLUMNS:
        return "is a column of every run"
    return f"is another name of {ours}, a column of every run" if (ours := column_name(name)) in COLUMNS else None


def command_of(config: TrainConfig) -> list[str]:
    """Return the words of the command that trains a run."""
    assert config.program is not None
    values = {
        **config.model.options,
        "model": config.model.name,
        "epochs": _plain(config.schedule.epochs),
        "learning_rate": config.learning_rate,
        "seed": config.seed,
    } | ({"batch_size": config.batch_size} if config.batch_size else {})
    return [word.format(**values) for word in config.program.command]


def _plain(number: float) -> float | int:
    """Write a whole number of epochs without a point: programs often take an int."""
    return int(number) if number.is_integer() else number
