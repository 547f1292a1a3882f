"""The cells of an experiments file that are not done, with their price: what `analysis.plan` chooses from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.plan import Plan, PlannedRun
from scaling.outcomes import RunStatus

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["candidate_cells"]


def candidate_cells(plan: Plan, runs: pd.DataFrame) -> pd.DataFrame:
    """A row a cell with at least one run that has not finished, or whose learning rate is still to be found: `family`, `model`, `epochs`, `params`, `examples_seen`, `unique_examples`,
    `train_flops` of one run, `seeds` and `runs` still to do, `core_hours` of all of them.

    The price is the plan's estimate.

    Args:
        plan: with its estimates, see `orchestrator.measured`.
        runs: the table of runs, with `id` and `status` where known.
    """
    import pandas as pd

    done = set(runs.loc[runs["status"] == RunStatus.FINISHED, "id"]) if {"id", "status"} <= set(runs) else set()
    cell = [name for name in ("family", "model", "epochs") if name in runs]
    trained = set(runs.loc[runs["id"].isin(done), cell].itertuples(index=False, name=None)) if done else set()
    cells: dict[tuple[str, str, float], list[PlannedRun]] = {}
    for run in plan.runs:
        if run.id not in done:
            config = run.config
            cells.setdefault((config.model.family, config.model.name, config.schedule.epochs), []).append(run)
    for search in plan.searches:
        if search.key not in trained:
            cells[search.key] = [search.run] * search.expected_runs
    rows: list[dict[str, object]] = []
    for (family, model, epochs), waiting in cells.items():
        first = waiting[0]
        rows.append(
            {
                "family": family,
                "model": model,
                "epochs": epochs,
                "params": first.params,
                "examples_seen": first.examples_seen,
                "unique_examples": first.unique_examples,
                "train_flops": first.train_flops,
                "seeds": len({run.config.seed for run in waiting}),
                "runs": len(waiting),
                "core_hours": sum(run.estimated_core_hours for run in waiting),
            }
        )
    return pd.DataFrame(rows)
