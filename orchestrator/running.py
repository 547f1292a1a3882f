"""Forecasts the end of a run of the store from the law of the finished runs, and from its own curve."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orchestrator.store import DEFAULT_URL, Session, open_readonly, queries
from orchestrator.store.stopping import held_out_losses
from scaling.columns import FINETUNING
from scaling.errors import ScalingError, UsageError
from scaling.outcomes import RunStatus

if TYPE_CHECKING:
    import pandas as pd

    from analysis import EndForecast

__all__ = ["forecast_in_training", "forecast_of", "forecast_run", "is_forecast"]


def forecast_run(run: str, *, db: str = DEFAULT_URL, share: float | None = None, level: float = 0.95) -> EndForecast:
    """Forecast where a run will end, by a unique prefix of its id.

    share: of its steps, after which its curve is not looked at; None: all of it, of a run that is not over.

    Raises: as `forecast_of`; `UsageError` for a run that has finished, without a share.

    >>> scaling.forecast_run("3f9a").sentence()                                                   # doctest: +SKIP
    'After 50 % of its steps run 3f9a0c52e1b7d604 is expected to end at val_loss 0.412 (0.371 … 0.458) (95 %), …'
    """
    with open_readonly(db) as store, store.read() as session:
        return forecast_of(session, run, share=share, level=level)


def is_forecast(run: Mapping[str, Any]) -> bool:
    """Say whether a run is one whose end is forecast unasked: it is in training, or paused, and was not fine-tuned. run: of `queries.run_detail`."""
    return run["status"] in (RunStatus.RUNNING, RunStatus.PAUSED) and run["stage"] != FINETUNING


def forecast_in_training(session: Session, run: Mapping[str, Any], runs: pd.DataFrame | None = None) -> EndForecast | None:
    """Forecast the end of a run in training; None of other runs, and where the finished ones do not tell.

    run: of `queries.run_detail`. runs: as of `forecast_of`.
    """
    if is_forecast(run):
        with suppress(ScalingError):
            return forecast_of(session, run["id"], runs=runs)
    return None


def forecast_of(
    session: Session, prefix: str, *, share: float | None = None, level: float = 0.95, runs: pd.DataFrame | None = None
) -> EndForecast:
    """Forecast the end of a run from the other runs of its store. runs: the table of them, where the caller has it.

    Raises: as `queries.run_id` for the prefix; `TooFewPoints` where too few finished runs are like it.
    """
    from analysis import forecast_end
    from analysis.finetuned import of_stage
    from analysis.unfinished import table_of

    run = queries.run_id(session, prefix)
    if share is not None and not 0 < share <= 1:
        raise UsageError(
            f"a share of {share:g} is not above 0 and at most 1", hint="--share 0.5 looks at the first half of its steps"
        )
    runs = of_stage(table_of(queries.runs(session)) if runs is None else runs, "val_loss")
    status = runs.loc[runs["id"] == run, "status"]
    if len(status) and status.iloc[0] == RunStatus.FINISHED and share is None:
        raise UsageError(
            f"run {run} has finished: there is nothing to forecast",
            hint="--share 0.5 shows what was to be expected after half of its steps",
        )
    return forecast_end(runs, run, held_out_losses(session, list(runs["id"])), share=share or 1.0, level=level)
