"""Money as a column: what the runs of any table cost, by prices that somebody named.

A store's runs have the column already, where their file has prices; prices that are named count before those.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis.reading.source import add_note
from scaling.accelerators import ACCELERATORS, canonical
from scaling.errors import UnknownName, UsageError
from scaling.prices import CURRENCY, Prices, price_in

__all__ = ["check_prices", "currency_of", "rate_of", "with_cost"]

_ALL = ""
"""Stands for whatever a run was trained on."""

_COSTS = {"core_hours": "cost", "allocated_core_hours": "allocated_cost"}


def check_prices(texts: Iterable[str]) -> Prices | None:
    """Read the texts of `--price`, `["H100=2.5", "TPU-v4=3.22 USD"]`, or one price of all runs, `["2.5"]`; None where there are none.

    Raises `UsageError` for a text of another form, a price that is no positive number, an accelerator that is priced twice, and for two
    currencies.
    """
    found: dict[str, float] = {}
    currencies: dict[str, None] = {}
    for text in texts:
        name, separator, stated = text.rpartition("=")
        name, (number, *label) = canonical(name.strip()), stated.split() or [""]
        price = price_in(number)
        if price is None or len(label) > 1 or (separator and not name):
            wrong = (
                f"{stated.strip()!r} is no price: it must be a number greater than 0"
                if name or not separator
                else "no accelerator is named"
            )
            raise UsageError(
                f"--price {text!r}: {wrong}",
                hint='the price of a chip-hour: --price H100=2.5, or with its currency --price "H100=2.5 EUR"',
            )
        if name in found or (found and _ALL in (name, *found)):
            raise UsageError(
                f"--price {text!r}: {name or 'an accelerator'} is priced twice", hint="give each accelerator one price"
            )
        found[name] = price
        currencies |= dict.fromkeys(label)
    if len(currencies) > 1:
        raise UsageError(
            f"the currency is given twice: {' and '.join(currencies)}", hint="nothing is converted: give all prices in one"
        )
    return Prices(found, next(iter(currencies), CURRENCY)) if found else None


def with_cost(runs: pd.DataFrame, prices: Iterable[str]) -> pd.DataFrame:
    """Add `cost`, `allocated_cost` and `currency` to a table: its core-hours at these prices, with a note that says so.

    A run whose accelerator has no price costs NaN. The given table stays as it is.

    Args:
        prices: of `check_prices`, e.g. `["H100=2.5"]`; without any nothing is added.

    Raises:
        UsageError: a price makes no sense; the table has no core-hours; or no accelerators, where prices are of those.
        UnknownName: a price is of an accelerator that neither the table nor `scaling.accelerators` knows.
    """
    given = check_prices(prices)
    if given is None:
        return runs
    hours = [name for name in _COSTS if name in runs]
    if not hours:
        raise UsageError("--price needs a column core_hours", hint="name it with --map core_hours=THEIRS")
    trained_on = pd.Series(None, index=runs.index, dtype=object)
    if "accelerator" in runs:
        trained_on = runs["accelerator"].map(lambda kind: None if pd.isna(kind) or kind == "" else str(kind)).astype(object)
    kinds = sorted(set(trained_on.dropna()))
    if (one := given.an_hour.get(_ALL)) is not None:
        if len(kinds) > 1:
            raise UsageError(
                f"--price {one:g} is one price, and the runs are of {len(kinds)} kinds of accelerator: {', '.join(kinds)}",
                hint=f"price each: --price {kinds[0]}=2.5",
            )
        kind = canonical(kinds[0]) if kinds else _ALL
        given, trained_on = Prices({kind: one}, given.currency), trained_on.map(lambda _: kind)
    elif not kinds:
        raise UsageError(
            "--price of an accelerator needs a column accelerator",
            hint="name it with --map accelerator=THEIRS, or give one price for all runs: --price 2.5",
        )
    for name in given.an_hour:
        if name not in (*ACCELERATORS, *map(canonical, kinds), _ALL):
            raise UnknownName("accelerator", name, [*kinds, *ACCELERATORS], hint="--price NAME=2.5: of a chip-hour on NAME")
    rates = pd.to_numeric(trained_on.map({kind: given.a_core_hour(kind) for kind in trained_on.dropna().unique()})).astype(float)
    made = {_COSTS[name]: pd.to_numeric(runs[name], errors="coerce").astype(float) * rates for name in hours}
    priced = runs.assign(**made, currency=given.currency)
    priced.attrs = dict(runs.attrs)
    told = ", ".join(f"{price:g} {given.currency} a chip-hour{name and f' on {name}'}" for name, price in given.an_hour.items())
    free = [] if one is not None else [kind for kind in kinds if given.a_core_hour(kind) is None]
    notes = [f"cost is core_hours at {told}"]
    if free:
        notes.append(f"no price is given for {', '.join(free)}")
    if unknown := [kind for kind in kinds if kind not in free and canonical(kind) not in ACCELERATORS]:
        notes.append(f"a chip of {', '.join(unknown)} is taken as one core: it is in no table of accelerators")
    return add_note(priced, notes)


def currency_of(runs: pd.DataFrame) -> str | None:
    """Return the currency of a table's costs; None where it has no costs, or several currencies."""
    if not {"cost", "currency"} <= set(runs):
        return None
    currencies = runs.loc[runs["cost"].notna(), "currency"].dropna().unique()
    return str(currencies[0]) if len(currencies) == 1 else None


def rate_of(runs: pd.DataFrame | None) -> tuple[float, str] | None:
    """Return the price of a core-hour and its currency, where all runs with core-hours have the same; else None.

    So it is known what core-hours beyond the runs would cost. Not after `--convert`, by which core-hours are no longer those of one device.
    """
    if runs is None or "core_hours" not in runs or (currency := currency_of(runs)) is None:
        return None
    if "converted_from" in runs and runs["converted_from"].fillna("").ne("").any():
        return None
    hours, cost = (pd.to_numeric(runs[name], errors="coerce") for name in ("core_hours", "cost"))
    rates = (cost / hours)[hours > 0]
    if rates.empty or not (rates.max() - rates.min() <= 1e-9 * rates.max()) or rates.isna().any():
        return None
    return float(rates.iloc[0]), currency
