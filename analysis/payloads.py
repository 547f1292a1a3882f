"""The JSON objects that `--json` prints and the HTTP API returns: one function each, used by both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from analysis.numbers import finite, with_interval
from analysis.reading.source import source_of
from scaling.columns import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd

    from analysis.comparison.result import Comparison
    from analysis.downstream import Transfer
    from analysis.fitting.result import Fit
    from analysis.learning_rate.trend import LearningRateTrend
    from analysis.learning_rate.unseen import CellRate
    from analysis.optimum.result import Optimum
    from analysis.optimum.slices import Slices
    from analysis.pareto import Frontier
    from analysis.planning.result import NextRuns
    from analysis.prediction import Prediction
    from analysis.scoring import Scores
    from analysis.sentence import Answer

__all__ = [
    "comparison_payload",
    "fits_payload",
    "frontier_payload",
    "learning_rate_payload",
    "optimum_payload",
    "plan_payload",
    "prediction_payload",
    "scores_payload",
    "slices_payload",
    "transfer_payload",
    "with_input",
]


def fits_payload(fits: Iterable[Fit], not_fitted: Iterable[dict[str, object]] = ()) -> dict[str, object]:
    """`{"schema_version", "answer", "the_law": {"law", "on"}, "fits": [Fit.to_dict()], "not_fitted": [{"law", "on", "reason"}]}`.

    Of each choice of cells one fit is `chosen`, the best forecaster of these cells, `chosen_of`. `the_law` is the first of them: that of the cells
    that count when nobody says which, see `analysis.choice.natural_choice`; None where laws were named. `answer`: what it says, see `analysis.sentence`.
    """
    fits = list(fits)
    law = next((fit for fit in fits if fit.chosen), None)
    return {
        "schema_version": SCHEMA_VERSION,
        "answer": None if law is None else law.answer.to_dict(),
        "the_law": None if law is None else {"law": law.law, "on": law.on},
        "fits": [fit.to_dict() for fit in fits],
        "not_fitted": list(not_fitted),
    }


def frontier_payload(frontier: Frontier, band: pd.DataFrame | None = None, answer: Answer | None = None) -> dict[str, object]:
    """`{"schema_version", "answer", "metric", "x", "points", "best", "runs_used", "excluded"}`.

    `band`, of `analysis.frontier_band`: each point then has `best_loss` (value, low, high: of the lowest metric at that compute or less) and
    `frontier_share`. `answer`: what the law of these runs says, None where there is no law.
    """
    content = frontier.to_dict()
    if band is not None:
        columns = (band[name] for name in ("best", "best_low", "best_high", "frontier_share"))
        for point, best, low, high, share in zip(content["points"], *columns, strict=True):
            point |= {"best_loss": with_interval(best, low, high), "frontier_share": finite(share)}
    return {"schema_version": SCHEMA_VERSION, "answer": None if answer is None else answer.to_dict(), **content}


def optimum_payload(optimum: Optimum) -> dict[str, object]:
    """`{"schema_version", "metric", "x", "size", "sentence", "recommended", "approaches", "epochs_above_one", "disagreement", "runnable", …}`."""
    return {"schema_version": SCHEMA_VERSION, **optimum.to_dict()}


def slices_payload(slices: Slices) -> dict[str, object]:
    """`{"schema_version", "metric", "x", "size", "slices", "optima"}`."""
    return {"schema_version": SCHEMA_VERSION, **slices.to_dict()}


def comparison_payload(comparison: Comparison) -> dict[str, object]:
    """`{"schema_version", "by", "a", "b", "better", "sentence", "crossing", "at_largest", "curve", "ratio", "p_value", "budgets", …}`.

    `better`: the side that is better at the largest shared compute, None where that may be noise. `log_ratio`, `ratio`, `p_value` and `speed_up` are of
    the mean over the shared budgets.
    """
    return {"schema_version": SCHEMA_VERSION, **comparison.to_dict()}


def prediction_payload(prediction: Prediction, registered: Iterable[dict[str, object]] = ()) -> dict[str, object]:
    """`{"schema_version", "metric", "x", "predictions": [{"at", "mean", "new_run", "beyond", "where"}], "fit", "registered": [rows of the store]}`."""
    return {"schema_version": SCHEMA_VERSION, **prediction.to_dict(), "registered": list(registered)}


def scores_payload(scores: Scores) -> dict[str, object]:
    """`{"schema_version", "sentence", "hits", "scored", "scores", "waiting"}`."""
    return {"schema_version": SCHEMA_VERSION, **scores.to_dict()}


def plan_payload(plan: NextRuns) -> dict[str, object]:
    """`{"schema_version", "target", "law", "budget_core_hours", "core_hours", "diagnostics", "now", "after", "chosen", "fit", …}`."""
    return {"schema_version": SCHEMA_VERSION, **plan.to_dict()}


def transfer_payload(transfer: Transfer) -> dict[str, object]:
    """`{"schema_version", "downstream", "upstream", "x", "sentence", "rank_correlation", "same_best", "regret", "checkpoints", "fit", …}`."""
    return {"schema_version": SCHEMA_VERSION, **transfer.to_dict()}


def learning_rate_payload(trend: LearningRateTrend, cell: CellRate | None = None) -> dict[str, object]:
    """`{"schema_version", "metric", "formula", "status", "slope", "size_slope", "interaction", "models", "optima", "points", "cell", …}`.

    `cell`: the rate of a cell that was asked for.
    """
    return {"schema_version": SCHEMA_VERSION, **trend.to_dict(), "cell": None if cell is None else cell.to_dict()}


def with_input(payload: dict[str, object], runs: pd.DataFrame) -> dict[str, object]:
    """The payload with `input`: `{"notes": [what was set aside and converted], "file", "sha256", "rows", "mapping", "units",
    "renamed", "converted"}`; of the store, `notes` alone."""
    return {**payload, "input": source_of(runs)}
