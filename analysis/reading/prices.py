"""Money as a column: what the runs of any table cost, by prices that somebody named.

A store's runs have the column already, where their file has prices; prices that are named count before those, also for what a plan
chooses among.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.reading.source import add_note, attach_source, source_of
from scaling.accelerators import ACCELERATORS, canonical
from scaling.errors import UnknownName, UsageError
from scaling.prices import CURRENCY, Prices, amount_in

__all__ = ["MONEY", "check_prices", "currency_of", "head_of", "priced_as", "rate_of", "unit_of", "with_cost"]

MONEY = ("cost", "allocated_cost")
"""Columns of money."""

_ALL = ""
"""Stands for whatever a run was trained on."""

_COSTS = dict(zip(("core_hours", "allocated_core_hours"), MONEY, strict=True))


def check_prices(texts: Iterable[str]) -> Prices | None:
    """Read the texts of `--price`, `["H100=2.5", "TPU-v4=3.22 USD"]`, or one price of all runs, `["2.5"]`; None where there are none.

    Raises `UsageError` for a text of another form, a price that is no positive number, an accelerator that is priced twice, and for two
    currencies.
    """
    found: dict[str, float] = {}
    currencies: dict[str, None] = {}
    for text in texts:
        name, separator, stated = text.rpartition("=")
        name, (price, label) = canonical(name.strip()), amount_in(stated) or (0.0, "")
        if not 0 < price < math.inf or (separator and not name):
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
        currencies |= dict.fromkeys([label] if label else [])
    if len(currencies) > 1:
        raise UsageError(
            f"the currency is given twice: {' and '.join(currencies)}", hint="nothing is converted: give all prices in one"
        )
    return Prices(found, next(iter(currencies), CURRENCY)) if found else None


def with_cost(runs: pd.DataFrame, prices: Iterable[str]) -> pd.DataFrame:
    """Add `cost`, `allocated_cost` and `currency` to a table: its core-hours at these prices, with a note that says so.

    A run whose accelerator has no price costs NaN. A chip has as many cores as the table says, by `cores` over `chips`, else as
    `scaling.accelerators` knows. The given table stays as it is.

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
    of_a_chip = _cores_per_chip(runs)
    rates = _rates(given, trained_on, of_a_chip)
    made = {_COSTS[name]: pd.to_numeric(runs[name], errors="coerce").astype(float) * rates for name in hours}
    priced = runs.assign(**made, currency=given.currency)
    priced.attrs = dict(runs.attrs)
    known = {kind: cores for kind, cores in zip(trained_on, of_a_chip, strict=True) if kind is not None and not pd.isna(cores)}
    stated = {"an_hour": dict(given.an_hour), "currency": given.currency, "cores": known}
    attach_source(priced, {**source_of(runs), "prices": stated})
    told = ", ".join(f"{price:g} {given.currency} a chip-hour{name and f' on {name}'}" for name, price in given.an_hour.items())
    free = [] if one is not None else [kind for kind in kinds if given.a_core_hour(kind) is None]
    notes = [f"cost is core_hours at {told}"]
    if free:
        notes.append(f"no price is given for {', '.join(free)}")
    if unknown := [kind for kind in kinds if kind not in (*free, *known) and canonical(kind) not in ACCELERATORS]:
        notes.append(f"a chip of {', '.join(unknown)} is taken as one core: it is in no table of accelerators")
    return add_note(priced, notes)


def priced_as(candidates: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Add `cost` and `currency` to candidates for a plan, as the runs have them; the given table stays as it is.

    Prices that were named for the runs, by `with_cost`, count first, also before a cost that the candidates have, with a note that says
    so; then that cost; then the price of a core-hour, where all runs have the same and the candidates would be trained on the same.

    Args:
        candidates: with `core_hours`, and `accelerator` where it is known.
    """
    if (stated := source_of(runs).get("prices")) is None:
        if "cost" in candidates or (rate := rate_of(runs)) is None or not _on_the_same(runs, candidates):
            return candidates
        return candidates.assign(cost=rate[0] * candidates["core_hours"].astype(float), currency=rate[1])
    given = Prices(**stated)
    kinds = sorted(set(runs["accelerator"].dropna())) if "accelerator" in runs else []
    if "accelerator" in candidates:
        on = candidates["accelerator"].astype(object)
    else:
        on = pd.Series(kinds[0] if len(kinds) == 1 else None, index=candidates.index, dtype=object)
    if _ALL in given.an_hour:  # one price of runs that name no accelerator
        on = on.map(lambda _: _ALL)
    elif "accelerator" not in candidates and _is_converted(runs):
        on = on.map(lambda _: None)
    rates = _rates(given, on, _cores_per_chip(candidates))
    priced = candidates.assign(cost=candidates["core_hours"].astype(float) * rates, currency=given.currency)
    priced.attrs = dict(candidates.attrs)
    notes = []
    if "cost" in candidates and not _are_alike(candidates, priced):
        notes.append("the candidates cost what the named prices (--price) say, which count before their own")
    if free := sorted(set(on[rates.isna()].dropna())):
        notes.append(f"no price is given for {', '.join(free)}")
    return add_note(priced, notes)


def _are_alike(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Say whether both tables have the same costs in the same currency, up to rounding."""
    costs, others = (pd.to_numeric(table["cost"]).to_numpy(float) for table in (first, second))
    return currency_of(first) == currency_of(second) and bool(np.allclose(costs, others, rtol=1e-9, equal_nan=True))


def _cores_per_chip(table: pd.DataFrame) -> pd.Series:
    """Return the cores of a chip by row, as the table says; NaN where it does not."""
    if not {"cores", "chips"} <= set(table):
        return pd.Series(float("nan"), index=table.index)
    cores, chips = (pd.to_numeric(table[name], errors="coerce").astype(float) for name in ("cores", "chips"))
    return (cores / chips).where((cores > 0) & (chips > 0))


def _rates(given: Prices, trained_on: pd.Series, cores_per_chip: pd.Series) -> pd.Series:
    """Return the price of a core-hour by row; NaN where it is not known."""
    named, known = (column.astype(object).where(column.notna(), None) for column in (trained_on, cores_per_chip))
    pairs = [*zip(named, known, strict=True)]
    rates = {pair: given.a_core_hour(*pair) for pair in set(pairs)}
    return pd.Series([rates[pair] for pair in pairs], index=trained_on.index, dtype=float)


def _on_the_same(runs: pd.DataFrame, candidates: pd.DataFrame) -> bool:
    """Say whether the candidates would be trained on what the runs were trained on, as far as is known."""
    if "accelerator" not in runs or "accelerator" not in candidates:
        return True
    return set(candidates["accelerator"].dropna()) <= set(runs["accelerator"].dropna())


def _is_converted(runs: pd.DataFrame) -> bool:
    """Say whether core-hours of some runs are no longer those of the device that trained them."""
    return "converted_from" in runs and bool(runs["converted_from"].fillna("").ne("").any())


def currency_of(runs: pd.DataFrame) -> str | None:
    """Return the currency of a table's costs; None where it has no costs, or several currencies."""
    if not {"cost", "currency"} <= set(runs):
        return None
    currencies = runs.loc[runs["cost"].notna(), "currency"].dropna().unique()
    return str(currencies[0]) if len(currencies) == 1 else None


def unit_of(column: str, currency: str | None) -> str:
    """Return what words say after a number of a column: `USD` for money, else the column's name."""
    return currency if currency and column in MONEY else column


def head_of(column: str, currency: str | None) -> str:
    """Return the head of a column in a table: `cost (USD)` for money, else its name."""
    return f"{column} ({currency})" if currency and column in MONEY else column


def rate_of(runs: pd.DataFrame | None) -> tuple[float, str] | None:
    """Return the price of a core-hour and its currency, where all runs with core-hours have the same; else None.

    So it is known what core-hours beyond the runs would cost. Not after `--convert`, by which core-hours are no longer those of one device.
    """
    if runs is None or "core_hours" not in runs or (currency := currency_of(runs)) is None:
        return None
    if _is_converted(runs):
        return None
    hours, cost = (pd.to_numeric(runs[name], errors="coerce") for name in ("core_hours", "cost"))
    rates = (cost / hours)[hours > 0]
    if rates.empty or not (rates.max() - rates.min() <= 1e-9 * rates.max()) or rates.isna().any():
        return None
    return float(rates.iloc[0]), currency
