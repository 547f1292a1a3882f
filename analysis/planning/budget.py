"""What a plan may spend: core-hours, or money where prices are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from analysis.reading.prices import currency_of
from scaling.errors import UsageError
from scaling.prices import amount_in

__all__ = ["Budget", "budget_in"]

_CORE_HOURS = ("", "core-hours", "core_hours", "core-hour")


@dataclass(frozen=True)
class Budget:
    """Holds a limit. currency: the label of money, as it was given; None in core-hours."""

    amount: float
    currency: str | None = None

    @property
    def column(self) -> str:
        """Return the column of the candidates that counts against it."""
        return "core_hours" if self.currency is None else "cost"

    @property
    def words(self) -> str:
        """Write the limit: `50 core-hours`, `500 USD`."""
        return f"{self.amount:g} {self.currency or 'core-hours'}"

    def of(self, candidates: pd.DataFrame) -> Budget:
        """Return the budget with the currency spelled as the candidates' costs have it.

        Raises `UsageError` where they have no cost, or in another currency.
        """
        if self.currency is None:
            return self
        known = currency_of(candidates)
        if known is None:
            raise UsageError(
                f"a budget of {self.words} needs a price, and none is known of the candidates",
                hint="name one: --price H100=2.5, of a chip-hour; or `price:` in the experiments file",
            )
        if known.casefold() != self.currency.casefold():
            raise UsageError(
                f"the budget is {self.words}, and the prices are in {known}",
                hint=f"nothing is converted: give the budget in {known}, or the prices in {self.currency}",
            )
        return Budget(self.amount, known)


def budget_in(given: float | str) -> Budget:
    """Read a budget: a number is core-hours, as is `50 core-hours`; `500 USD` or `500usd` is money.

    Raises `UsageError` for another text, and for what is not positive or not finite.
    """
    found = amount_in(given) if isinstance(given, str) else (float(given), "")
    if found is None:
        raise UsageError(
            f"a budget of {given!r} is neither core-hours nor money",
            hint='--budget 50 is of core-hours, --budget "500 USD" of money',
        )
    number, label = found
    budget = Budget(number, None if label.lower() in _CORE_HOURS else label)
    if not 0 < number < math.inf:
        raise UsageError(f"a budget of {budget.words} buys nothing", hint="--budget takes a positive number")
    return budget
