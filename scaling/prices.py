"""Money: what a chip-hour of an accelerator costs, and by that what core-hours cost.

Core-hours stay what laws and accounts are of; money stands beside them. A currency is a label: nothing is converted.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaling.accelerators import ACCELERATORS, canonical
from scaling.errors import DataError, DataNotFound, ScalingError, nearest

__all__ = ["CURRENCY", "THE_FILES", "Prices", "amount_in", "declared_cores", "price_in", "read_prices"]

CURRENCY = "USD"
"""The label where nobody named one."""

THE_FILES = "*"
"""Stands for the accelerator of the experiments file, where it gives one number as the price."""

_HEAD = ["accelerator", "price"]
_AMOUNT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\s\d.,+=/\\-][^\s./\\]{0,11})?")


@dataclass(frozen=True)
class Prices:
    """Holds the price of a chip-hour of each accelerator, in one currency.

    A chip-hour is core-hours over the cores of a chip: a GPU is one core, a TPU v4 chip two; for a CPU a chip is a core. An accelerator
    that neither `cores`, by what a file declares, nor `scaling.accelerators` knows has one core a chip. An accelerator may be called by an
    alias. The price of `gpu` is that of every GPU without a price of its own: of all but CPUs and TPUs.
    """

    an_hour: Mapping[str, float]
    currency: str = CURRENCY
    cores: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, resolved: Mapping[str, Any]) -> Prices | None:
        """Return the prices of an experiments file as resolved, those of the accelerators that it declares too; None where it has none."""
        cards, own = resolved.get("accelerators") or [], (resolved.get("resources") or {}).get("accelerator", "")
        declared = {card["name"]: card["price"] for card in cards if card.get("price")}
        names = {alias: card["name"] for card in cards for alias in card.get("aliases") or ()} | {THE_FILES: own}
        stated = {names.get(name) or canonical(name): number for name, number in (resolved.get("price") or {}).items()}
        if not (prices := declared | stated):
            return None
        return cls(prices, resolved.get("currency") or CURRENCY, declared_cores(resolved))

    def cores_per_chip(self, accelerator: str) -> int:
        """Return the cores of a chip of an accelerator."""
        name = accelerator if accelerator in self.cores else canonical(accelerator)
        known = ACCELERATORS.get(name)
        return self.cores.get(name, known.cores_per_chip if known else 1)

    def a_core_hour(self, accelerator: str | None, cores_per_chip: float | None = None) -> float | None:
        """Return the price of a core-hour on an accelerator; None where its price is not known.

        cores_per_chip: None is as this knows it.
        """
        if accelerator is None:
            return None
        name = accelerator if accelerator in self.an_hour else canonical(accelerator)
        known = ACCELERATORS.get(name)
        is_gpu = known is None or not (known.is_tpu or known.name == "cpu")
        if (chip := self.an_hour.get(name, self.an_hour.get("gpu") if is_gpu else None)) is None:
            return None
        return chip / (cores_per_chip or self.cores_per_chip(accelerator))

    def cost(self, accelerator: str | None, core_hours: float | None) -> float | None:
        """Return what so many core-hours on an accelerator cost; None where they or their price are not known."""
        rate = self.a_core_hour(accelerator)
        return None if rate is None or core_hours is None else rate * core_hours


def declared_cores(resolved: Mapping[str, Any]) -> dict[str, int]:
    """Return the cores of a chip of each accelerator that an experiments file, as resolved, declares with them."""
    return {card["name"]: card["cores_per_chip"] for card in resolved.get("accelerators") or [] if card.get("cores_per_chip")}


def amount_in(text: str) -> tuple[float, str] | None:
    """Read an amount and what it is of, `2.5 EUR` or `500usd`; no words after the number are empty. None for another text."""
    found = _AMOUNT.fullmatch(text.strip())
    return None if found is None else (float(found[1]), found[2] or "")


def price_in(text: str) -> float | None:
    """Read a price; None for a text that is no positive, finite number."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def read_prices(path: Path, known: Collection[str] = ()) -> dict[str, float]:
    """Read a CSV with the columns `accelerator,price`: name → price of a chip-hour.

    known: the accelerators that it may name; any where there are none.

    Raises:
        DataNotFound: there is no such file.
        DataError: the file has other columns, names an accelerator twice or one that is not known, or a price is no positive number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            lines = csv.reader(opened)
            rows = [(lines.line_num, [cell.strip() for cell in row]) for row in lines if any(map(str.strip, row))]
    except FileNotFoundError:
        raise DataNotFound(f"there is no file {path}", hint="prices are a CSV: accelerator,price") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}", hint="prices are a CSV: accelerator,price") from error
    if not rows or rows[0][1] != _HEAD:
        raise _bad(path, rows[0][0] if rows else 1, f"the first line is not {','.join(_HEAD)}")
    found: dict[str, float] = {}
    for line, row in rows[1:]:
        if len(row) != len(_HEAD) or not row[0]:
            raise _bad(path, line, f"not an accelerator and its price: {','.join(row)[:60]!r}")
        name, price = canonical(row[0]), price_in(row[1])
        if known and name not in known:
            raise _bad(path, line, f"unknown accelerator {name[:60]!r}{nearest(name[:60], known)}")
        if name in found:
            raise _bad(path, line, f"{name} is given twice")
        if price is None:
            raise _bad(path, line, f"{row[1][:60]!r} is no price: it must be a number greater than 0")
        found[name] = price
    if not found:
        raise _bad(path, rows[0][0], "no accelerator has a price")
    return found


def _bad(path: Path, line: int, problem: str) -> ScalingError:
    return DataError(f"{path}:{line}: {problem}", hint="a line an accelerator, e.g. H100,2.5: the price of a chip-hour")
