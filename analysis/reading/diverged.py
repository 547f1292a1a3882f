"""Runs whose loss ended as NaN: they diverged, whatever the program that wrote the table calls their end."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from scaling.outcomes import RunStatus

__all__ = ["is_loss", "nan_losses", "with_diverged"]

_LOSS = re.compile(r"loss|nll|perplexity|ppl|entropy|bits.per|bpb|bpc", re.IGNORECASE)
_ENDED_WELL = ("", "finished", "completed", "success")


def is_loss(name: object, losses: Collection[str]) -> bool:
    """Say whether a column is a loss: by its name, or as one of `losses`, which were named as such."""
    return name in losses or _LOSS.search(str(name)) is not None


def nan_losses(table: pd.DataFrame, names: Iterable[str], losses: Collection[str]) -> dict[object, str]:
    """Find the rows in which a loss among these columns was logged as NaN, with the words for it: row label → "val_loss ended as nan".

    An empty cell, which says that nothing was logged, is not NaN.
    """
    found: dict[object, str] = {}
    for name in names:
        if table[name].dtype == object and is_loss(name, losses):
            nan = table[name].map(lambda cell: isinstance(cell, float) and cell != cell)
            found |= {row: f"{name.removeprefix('metrics.').removeprefix('summary.')} ended as nan" for row in table.index[nan]}
    return found


def with_diverged(runs: pd.DataFrame, reasons: Mapping[object, str]) -> pd.DataFrame:
    """Set `status` to diverged, and the reason, at these row labels, except where the status says that the run did not finish."""
    if not reasons:
        return runs
    name = next((name for name in ("status", "State", "state") if name in runs), "status")
    status = runs[name].astype(object) if name in runs else pd.Series(str(RunStatus.FINISHED), index=runs.index, dtype=object)
    well = status.isna() | status.astype(str).str.lower().isin(_ENDED_WELL)
    told = runs.index.to_series().map(reasons).where(well)
    reason = told.fillna(runs["reason"]) if "reason" in runs else told
    return runs.assign(**{name: status.mask(told.notna(), str(RunStatus.DIVERGED)), "reason": reason})
