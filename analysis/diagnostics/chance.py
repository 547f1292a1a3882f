"""Runs that do no better than guessing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode
from analysis.listing import listed
from analysis.reading.diverged import is_loss
from scaling.outcomes import NO_BETTER_THAN_GUESSING
from scaling.rounding import significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["at_chance", "chance_level"]

_COLUMN = "chance_loss"
_ROUNDING = 1e-3
"""The relative difference that rounding may make: a table may print the loss of guessing and that of a run with other digits."""


def chance_level(fit: Fit) -> list[Diagnostic]:
    """Report the runs used that do no better than guessing, see `at_chance`."""
    return at_chance(fit.runs, fit.metric)


def _judged(runs: pd.DataFrame) -> pd.Series:
    if "reason" not in runs:
        return pd.Series(False, index=runs.index)
    return runs["reason"].astype(object).fillna("").astype(str).str.startswith(NO_BETTER_THAN_GUESSING)


def _is_other_unit(metric: str) -> bool:
    """Say whether a loss is in another unit than nats, the unit of `chance_loss`."""
    return any(word in metric.lower() for word in ("perplexity", "ppl", "bits", "bpb", "bpc"))


def at_chance(runs: pd.DataFrame, metric: str) -> list[Diagnostic]:
    """Report runs whose loss is not below their `chance_loss`, the loss of guessing by the frequencies of the classes alone.

    Only a metric that is a loss is judged; a table without the column cannot be. The runs of the store were judged when they were
    evaluated, by the spread of the losses, which a table does not have: their reason says so (`no-better-than-guessing`).
    """
    if _COLUMN not in runs or not is_loss(metric, ()) or _is_other_unit(metric):
        return []
    chance = pd.to_numeric(runs[_COLUMN], errors="coerce")
    judged = _judged(runs)
    guessing = runs[judged | (runs[metric] >= (1 - _ROUNDING) * chance)]
    if guessing.empty:
        return []
    ids = tuple(guessing.sort_values(metric, ascending=False, kind="stable")["id"].astype(str))
    levels = " … ".join(
        significant(float(level), 4) for level in sorted({chance[guessing.index].min(), chance[guessing.index].max()})
    )
    what = f"{'is' if len(ids) == 1 else 'are'} no better than {_COLUMN} ({levels}) in {metric}"
    return [
        Diagnostic(
            DiagnosticCode.NO_BETTER_THAN_GUESSING if judged.any() else DiagnosticCode.CHANCE_LEVEL,
            f"{len(ids)} of {len(runs)} runs {what}: {listed(ids)}",
            ids,
        )
    ]
