"""Several laws on several choices of runs: what the command and the pages show when nobody asks for one law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from analysis.automatic import AUTO
from analysis.fitting.fit import fit
from analysis.fitting.result import Fit
from analysis.laws import law_named
from scaling.errors import TooFewPoints

__all__ = ["DEFAULT_LAWS", "fit_all"]

DEFAULT_LAWS = ("power", "power-floor")
"""What is fitted when no law is named: with and without a floor. Laws with more coefficients, and surfaces, are for the asking."""


def fit_all(
    runs: pd.DataFrame, *, laws: Sequence[str] = (), on: Literal["frontier", "all", "both"] = "both", **settings: Any
) -> tuple[list[Fit], list[dict[str, Any]]]:
    """Fit several laws to the same runs.

    Args:
        runs: a table of runs.
        laws: names, `auto` among them; `DEFAULT_LAWS` when empty.
        on: which cells; "both" fits each law to the frontier and to all of them, and a surface to all.
        settings: of `analysis.fit`.

    Returns:
        The fits, and what has too few points: `{"law", "on", "reason", "have", "need"}` each.

    Raises:
        TooFewPoints: of the law that lacks the fewest, when nothing could be fitted. Otherwise as `analysis.fit`.
    """
    fits: list[Fit] = []
    refused: list[tuple[str, str, TooFewPoints]] = []
    choices: tuple[Literal["frontier", "all"], ...] = ("frontier", "all") if on == "both" else (on,)
    for choice in choices:
        for law in laws or DEFAULT_LAWS:
            if on == "both" and choice == "frontier" and _is_surface(law, settings.get("x")):
                continue
            try:
                fits.append(fit(runs, law=law, on=choice, **settings))
            except TooFewPoints as error:
                refused.append((law, choice, error))
    if not fits:
        raise min((error for _, _, error in refused), key=lambda error: error.need - error.have)
    return fits, [
        {"law": law, "on": choice, "reason": str(error), "have": error.have, "need": error.need} for law, choice, error in refused
    ]


def _is_surface(law: str, x: Any) -> bool:
    """Whether the law has several inputs; what `auto` is of, x says."""
    if law != AUTO:
        return law_named(law).is_surface
    return "," in x if isinstance(x, str) else x is not None and len(x) > 1
