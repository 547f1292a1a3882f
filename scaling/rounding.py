"""The rounding of numbers wherever people read them: tables, sentences, pages and figures. JSON and CSV hold them in full."""

from __future__ import annotations

import math

__all__ = ["amount", "as_factor", "money", "percent", "significant"]


def significant(value: float | None, digits: int = 4) -> str:
    """Write so many significant digits: `0.04127`, `132`, `9.48e+12`; `∞`, `−∞`; `–` for what is not known.

    Trailing zeros stay, so that columns compare. Whole digits are never rounded away: an exponent is written from a million on, and below
    0.00001.
    """
    return _written(value, digits, "", 6)


def amount(value: float | None, digits: int = 3) -> str:
    """Write an amount of something, as core-hours, with thousands set apart: `0.0124`, `54.0`, `12,345`; an exponent from 10¹⁵ on."""
    return _written(value, digits, ",", 15)


def money(value: float | None, currency: str | None) -> str:
    """Write an amount of money with the label of its currency: `0.0124 USD`, `12,345 EUR`; `–` where it is not known."""
    return "–" if value is None or math.isnan(value) else f"{amount(value)} {currency}"


def percent(share: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Write a share as `12 %`, `0.31 %`; signed as `+12 %`, for what is more or less than something."""
    sign = "+" if signed and share is not None and share > 0 else ""
    return "–" if share is None or math.isnan(share) else f"{sign}{significant(100 * share, digits)} %"


def as_factor(log_std: float) -> str:
    """Write a standard deviation in log units as the factor that it is, above and below: `×/÷ 1.557`."""
    return f"×/÷ {significant(math.exp(log_std))}"


def _written(value: float | None, digits: int, separator: str, largest: int) -> str:
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -5 <= exponent < largest:
        return f"{value:{separator}.{max(0, digits - 1 - exponent)}f}"
    return f"{value:.{digits - 1}e}"
