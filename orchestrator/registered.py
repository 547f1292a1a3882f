"""Registers predictions in the store before their run is done, and scores them afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.provenance import code_version
from orchestrator.store import DEFAULT_URL, Store, open_readonly, predictions

if TYPE_CHECKING:
    import pandas as pd

    from analysis import Prediction, Scores

__all__ = ["register", "scores_of"]


def register(found: Prediction, name: str, *, db: str = DEFAULT_URL, experiment: str | None = None) -> list[dict[str, Any]]:
    """Keep a prediction in the store under a name, for good, and return its rows. Raises as `orchestrator.store.predictions.register`."""
    rows = [
        {
            "at": {axis: row[axis] for axis in found.fit.axes},
            "value": row["value"],
            "mean_low": row["low"],
            "mean_high": row["high"],
            "low": row["run_low"],
            "high": row["run_high"],
            "slope": {axis: row[f"slope_{axis}"] for axis in found.fit.axes},
        }
        for row in found.rows
    ]
    law, code = found.fit.to_dict(), code_version()
    with Store.open(db) as store, store.write() as session:
        return predictions.register(session, name=name, experiment=experiment, fit=law, rows=rows, code_version=code)


def scores_of(runs: pd.DataFrame, *, db: str = DEFAULT_URL, experiment: str | None = None) -> Scores:
    """Compare the predictions registered in the store, of one experiment or of all, with runs that were done since."""
    from analysis import score

    with open_readonly(db) as store, store.read() as session:
        rows = predictions.registered(session, experiment=experiment)
    return score(rows, runs)
