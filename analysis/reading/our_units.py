"""Conversion of a user's number columns to our units, by what `--unit` says and what cells carry."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from analysis.reading.numbers_in import numbers_in
from analysis.reading.units import Conversion, Unit, base_of, conversion, dimension_of, unit_named
from scaling.columns import COLUMNS, describe
from scaling.errors import DataError, UsageError, nearest

__all__ = ["in_our_units"]

_NAMES = {"share": "error", "time": "duration"}
"""Dimension of a metric's cells → what the metric may be called."""


def in_our_units(
    table: pd.DataFrame, units: Mapping[str, str], mapping: Mapping[str, str], path: Path
) -> tuple[pd.DataFrame, dict[str, Conversion]]:
    """Convert the columns of numbers to our units. Returns the table, and the conversion of each column that needed one.

    Raises `DataError` for cells that are not numbers or whose unit is of another kind than the column's, `UsageError` for an unknown unit.
    """
    theirs = {name: ours for ours, name in mapping.items() if name not in table}
    asked = {name: _asked(name, text, table, mapping, theirs) for name, text in units.items()}
    sources = {theirs.get(name, name) for entry in asked.values() for name in entry.columns}
    numeric = [
        name
        for name in table.columns
        if name in asked or name in sources or ((name in COLUMNS or name in mapping) and describe(name).kind in ("int", "float"))
    ]
    raw: dict[str, pd.Series] = {}
    for name in numeric:
        raw[name], carried = numbers_in(table[name], str(path), asked.get(name))
        if carried is not None and (name not in asked or asked[name].unit is None):
            _refuse_other_kind(name, carried, mapping.get(name, name), path)
            text = f"{carried.name}*{units[name]}" if name in units else carried.name
            asked[name] = conversion(name, text, [*table.columns, *theirs])
    ours = {name: column for name, column in raw.items() if name not in asked}
    for name in _in_order(asked, theirs):
        entry = asked[name]
        factor = pd.Series(entry.factor, index=table.index)
        for column in entry.by:
            factor = factor * (raw[theirs[column]] if column in theirs else ours[column])
        for column in entry.per:
            factor = factor / (raw[theirs[column]] if column in theirs else ours[column])
        ours[name] = raw[name] * factor
    return table.assign(**ours), {name: entry for name, entry in asked.items() if entry.factor != 1.0 or entry.columns}


def _refuse_other_kind(name: str, carried: Unit, theirs: str, path: Path) -> None:
    """Raise `DataError` for a loss in per cent or an hour in FLOP, as the cells themselves say."""
    if dimension_of(name) in (None, carried.dimension):
        return
    kind = _NAMES.get(carried.dimension, "quantity")
    cure = f"--map {kind}={shlex.quote(theirs)} --metric {kind}" if name.endswith("loss") else f"--map {name}=THEIRS"
    raise DataError(
        f"{path}: column {name}: its cells are in {carried.name}, and {name} is {base_of(name)}",
        hint=f"{'name it as what it is' if name.endswith('loss') else f'map the column that is {base_of(name)}'}: {cure}",
    )


def _asked(name: str, text: str, table: pd.DataFrame, mapping: Mapping[str, str], theirs: Mapping[str, str]) -> Conversion:
    if name not in table:
        raise UsageError(
            f"--unit {name}={text}: no column {name}{nearest(name, table.columns)}", hint=f"name it with --map {name}=THEIRS"
        )
    own = mapping.get(name)
    # `--map examples_seen=flops --unit examples_seen=flops/(6*params)`: the unit is meant, the column is what it says the unit of.
    known = [*table.columns, *(column for column in theirs if column != own or unit_named(column) is None)]
    entry = conversion(name, text, known)
    if own in entry.columns and own in theirs:
        raise UsageError(
            f"--unit {name}={text} names {own}, the column whose numbers are multiplied by it",
            hint=f"say what those numbers are worth, without {own}: --unit {name}=UNIT*NUMBER",
        )
    return entry


def _in_order(asked: Mapping[str, Conversion], theirs: Mapping[str, str]) -> list[str]:
    """Order the columns to convert, each after those that its own conversion takes in our units. Raises `UsageError` for a circle."""
    order: list[str] = []
    while len(order) < len(asked):
        ready = [
            name
            for name, entry in asked.items()
            if name not in order
            and not any(column in asked and column not in order for column in entry.columns if column not in theirs)
        ]
        if not ready:
            left = ", ".join(name for name in asked if name not in order)
            raise UsageError(
                f"--unit: the columns {left} are converted by one another", hint="name one of them as the file calls it"
            )
        order += ready
    return order
