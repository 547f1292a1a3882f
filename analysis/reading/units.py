"""What a unit is worth in ours: `seconds*8` of `core_hours`, `PFLOP` of `train_flops`, `%` of an error, `bits` of a loss."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from analysis.reading.unit_expression import factors
from scaling.columns import COLUMNS, describe
from scaling.errors import UnknownName, UsageError

__all__ = ["UNITS", "Conversion", "Unit", "base_of", "check_units", "conversion", "dimension_of", "unit_named"]


@dataclass(frozen=True)
class Unit:
    """Holds a unit, which is `factor` of the base unit of its dimension: one minute is 1/60 of an hour."""

    name: str
    dimension: str
    factor: float


_BASES = {"time": "hours", "compute": "FLOP", "share": "a share 0 … 1", "information": "nats", "count": "a plain count"}
"""Dimension → the unit that `scaling.columns` uses for it."""


def _units() -> dict[str, Unit]:
    table: dict[str, Unit] = {}

    def add(dimension: str, factor: float, *names: str) -> None:
        for name in names:
            table[name] = Unit(names[0], dimension, factor)

    for factor, *names in (
        (1 / 3_600_000, "milliseconds", "ms"),
        (1 / 3_600, "seconds", "second", "sec", "secs", "s"),
        (1 / 60, "minutes", "minute", "min", "mins"),
        (1.0, "hours", "hour", "hrs", "hr", "h"),
        (24.0, "days", "day", "d"),
    ):
        # The hours of a device are hours of it: how many devices there were is a factor of its own, `seconds*8`.
        devices = [f"{device}-{name}" for device in ("device", "core", "gpu", "tpu") for name in names if len(name) > 3]
        add("time", factor, *names, *devices)
    for prefix, factor in zip(("", "k", "M", "G", "T", "P", "E", "Z", "Y"), (10.0**n for n in range(0, 27, 3)), strict=True):
        add("compute", factor, f"{prefix}FLOP", f"{prefix}FLOPs", f"{prefix}FLOPS")
    add("compute", 1e15 * 86_400, "PF-days", "PF-day", "petaflop-days", "petaflop/s-days")
    add("share", 1.0, "share", "fraction")
    add("share", 0.01, "%", "percent")
    add("information", 1.0, "nats", "nat")
    add("information", math.log(2.0), "bits", "bit")
    for factor, *names in ((1e3, "thousand", "K", "k"), (1e6, "million", "M"), (1e9, "billion", "B"), (1e12, "trillion", "T")):
        add("count", factor, *names)
    return table


UNITS: dict[str, Unit] = _units()
"""Every spelling → its unit."""

_FOLDED = {name.lower(): unit for name, unit in UNITS.items() if len(name) > 2}  # k, M, T and ms mean something by their case


_LETTERS = 2
"""Units of at most so many letters may be the name of a column. A column called `seconds` holds seconds, and the word is the unit."""

_BY_RATE = "; numbers of FLOP, of which a device does 312e12 in one second: seconds/312e12"

_SLASHED = {name for name in UNITS if "/" in name}


def unit_named(name: str) -> Unit | None:
    """Return the unit spelled like this, None without one. In words of more than two letters capitals make no difference."""
    return UNITS.get(name) or _FOLDED.get(name.lower().replace("_", "-"))


@dataclass(frozen=True)
class Conversion:
    """Says how the numbers of a column become ours: times `factor`, times the columns `by`, over the columns `per`, row by row.

    `unit`: of the numbers themselves, where one is named. `text`: how it was asked for. `chosen`: columns that are spelled as units are.
    """

    column: str
    text: str
    unit: Unit | None
    factor: float
    by: tuple[str, ...]
    per: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return self.by + self.per

    def __str__(self) -> str:
        """Write the product: `0.00222222 × n_gpus`, `0.166667 / params`."""
        return "".join([f"{self.factor:.6g}", *(f" × {name}" for name in self.by), *(f" / {name}" for name in self.per)])


def check_units(pairs: Iterable[str]) -> dict[str, str]:
    """Read `["core_hours=seconds*8", …]` as `{"core_hours": "seconds*8"}`.

    Raises `UsageError` for a text of another form, and for a column named twice.
    """
    units: dict[str, str] = {}
    for pair in pairs:
        column, separator, text = pair.partition("=")
        column, text = column.strip(), text.strip()
        if not separator or not column or not text:
            raise UsageError(f"--unit {pair!r} is not of the form column=unit", hint="e.g. --unit core_hours=seconds*8")
        if column in units:
            raise UsageError(f"--unit names column {column!r} twice", hint="give each column once")
        units[column] = text
    return units


def conversion(column: str, text: str, columns: Iterable[str]) -> Conversion:
    """Return the conversion that `--unit column=text` asks for.

    text: a product or quotient of a unit, numbers, and other columns of the table, with parentheses: `minutes`, `seconds*8`,
    `seconds*n_gpus`, `1e18`, `FLOP/(6*params)`. columns: the names in the table. One of at most two letters that is also a unit, `B`, is
    the column where the text has a unit besides.

    Raises `UnknownName` for a factor that is none of these. Raises `UsageError` for a unit of another kind than the column's, and for a
    text that is not a product or quotient.
    """
    present = set(columns)
    units: list[tuple[Unit, int]] = []
    by: dict[int, list[str]] = {1: [], -1: []}
    number = 1.0
    terms = factors(text, present | _SLASHED)
    chosen = _columns_spelled_as_units(terms, present)
    for term, exponent in terms:
        found = None if term in chosen or (term in present and term not in UNITS) else unit_named(term)
        if found is not None:
            units.append((found, exponent))
        elif term in present:
            by[exponent].append(term)
        else:
            try:
                value = float(term)
            except ValueError:
                raise UnknownName(
                    "unit",
                    term,
                    list(dict.fromkeys([*UNITS, *present])),
                    hint=f"e.g. {_examples(column)}, or a column of the table",
                ) from None
            if not (math.isfinite(value) and value > 0):
                raise UsageError(
                    f"--unit {column}={text}: a factor must be a positive number", hint="e.g. --unit core_hours=seconds*8"
                )
            number *= value**exponent
    if column in by[1] + by[-1]:
        raise UsageError(
            f"--unit {column}={text} names {column} itself, whose numbers are multiplied by it",
            hint="leave it out: --unit says what its numbers are worth, e.g. --unit core_hours=seconds*8",
        )
    _refuse_rate(column, text, units, number, by)
    unit = _unit_of(column, text, units, by[-1], present)
    return Conversion(column, text, unit, number * _worth(units), tuple(by[1]), tuple(by[-1]), chosen)


def _columns_spelled_as_units(terms: Sequence[tuple[str, int]], present: Collection[str]) -> tuple[str, ...]:
    """Return the columns that are spelled as units are: `B` of `hours*B` where the table has a column `B`.

    Without another unit the first such word is the unit.
    """
    letters = [(term, exponent) for term, exponent in terms if term in present and term in UNITS and len(term) <= _LETTERS]
    units = [
        term
        for term, exponent in terms
        if exponent > 0 and (term, exponent) not in letters and unit_named(term) and (term in UNITS or term not in present)
    ]
    if not units:
        first = next((pair for pair in letters if pair[1] > 0), None)
        letters = [pair for pair in letters if pair != first] if first else []
    return tuple(dict.fromkeys(term for term, _ in letters))


def _refuse_rate(column: str, text: str, units: Sequence[tuple[Unit, int]], number: float, by: Mapping[int, Sequence[str]]) -> None:
    """Raise `UsageError` for `FLOP/(312e12*seconds)` of hours: FLOP over the rate of a device is `seconds/312e12` of each number."""
    compute = [(unit, exponent) for unit, exponent in units if unit.dimension == "compute"]
    time = [(unit, exponent) for unit, exponent in units if unit.dimension == "time"]
    cancelled = len(compute) > 1 and not sum(exponent for _, exponent in compute) and not time
    if dimension_of(column) != "time" or not (cancelled or sum(exponent for _, exponent in time) < 0):
        return
    second = time[0][0].name if time else "seconds"
    below = [f"{1 / (number * _worth(compute)):.12g}", *by[-1]]
    cure = "*".join([second, *by[1]]) + (f"/({'*'.join(below)})" if len(below) > 1 else f"/{below[0]}")
    numbers = "time stands above the line"
    if compute:
        numbers = f"numbers of FLOP, of which a device does {below[0]} in one {second.removesuffix('s')}"
    raise UsageError(
        f"--unit {column}={text}: {column} is {_BASES['time']}, and these units leave no time",
        hint=f"{numbers}: --unit '{column}={cure}'",
    )


def _unit_of(
    column: str, text: str, units: Sequence[tuple[Unit, int]], per: Sequence[str], present: Collection[str]
) -> Unit | None:
    """Return the unit of the numbers themselves. Raises `UsageError` for two units, and for one of another kind than the column's.

    A quotient by columns may be of any kind: the table does not say of which they are.
    """
    if sum(exponent for _, exponent in units) > 1:
        names = [name for name in sorted(present) if name in UNITS and UNITS[name] in {unit for unit, _ in units}]
        rename = f"; the column {names[0]} under another name: --map NAME={names[0]} --unit {column}=UNIT*NAME" if names else ""
        raise UsageError(
            f"--unit {column}={text} names two units", hint=f"one unit, times numbers or columns: seconds*n_gpus{rename}"
        )
    first = next((unit for unit, exponent in units if exponent > 0), None)
    kinds: Counter[str] = Counter()
    for unit, exponent in units:
        kinds[unit.dimension] += exponent
    left = {kind: power for kind, power in kinds.items() if power}
    dimension = dimension_of(column)
    if units and not per and dimension is not None and left not in ({}, {dimension: 1}):
        named = (first or units[0][0]).name
        raise UsageError(
            f"--unit {column}={text}: {column} is {_BASES[dimension]}, and {named} is no unit of that",
            hint=f"e.g. {_examples(column)}{_BY_RATE if dimension == 'time' and 'compute' in left else ''}",
        )
    return first


def _worth(units: Sequence[tuple[Unit, int]]) -> float:
    return math.prod(unit.factor**exponent for unit, exponent in units)


def base_of(column: str) -> str:
    """Return what the numbers of one of our columns are: `hours` of `core_hours`; an empty text for other columns."""
    dimension = dimension_of(column)
    return "" if dimension is None else _BASES[dimension]


def dimension_of(column: str) -> str | None:
    """Return the dimension of one of our columns; None for a column that is not ours, which takes any unit."""
    if column not in COLUMNS:
        return None
    known: Mapping[str, str] = {"core-hours": "time", "FLOP": "compute", "nats": "information"}
    if column in ("val_top1", "val_top5"):
        return "share"
    return known.get(describe(column).unit, "count")


def _examples(column: str) -> str:
    of = dimension_of(column)
    names = [unit.name for unit in UNITS.values() if of is None or unit.dimension == of]
    return ", ".join(dict.fromkeys(names))
