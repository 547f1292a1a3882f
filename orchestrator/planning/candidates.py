"""What to run next: the cells of an experiments file that are not done, with their price, and which of them `analysis.plan` chooses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.errors import UsageError
from scaling.outcomes import RunStatus

if TYPE_CHECKING:
    import pandas as pd

    from analysis import Halving, NextRuns
    from orchestrator.planning.plan import Plan, PlannedRun

__all__ = ["candidate_cells", "halve", "plan"]


def plan(
    runs: pd.DataFrame,
    candidates: str | Path | Mapping[str, Any] | pd.DataFrame | None = None,
    *,
    metric: str = "val_loss",
    db: str | None = None,
    **settings: Any,
) -> NextRuns:
    """Choose the next runs that most reduce the uncertainty of a prediction, and say how sure it will be afterwards.

    >>> found = scaling.plan(runs, budget=0.01, target=0.002)
    >>> bool(found.core_hours <= 0.01 and found.after.high < found.now.high)
    True

    Args:
        runs: what was done.
        candidates: an experiments file or a dictionary of the same keys; a table of cells with core_hours, or the file of one. Cells of an
            experiments file without a finished run are priced, by measured speeds where there are some. None: cells like those that were
            run, up to four times the epochs.
        metric: what should be known.
        db: the store whose measured speeds price the cells of a file; None: those of `runs`.
        settings: of `analysis.plan`: budget, target, x, law, criterion, level …

    Raises:
        UsageError: every cell of the file is done; and what `analysis.plan` raises.
    """
    from analysis import plan as chosen_of
    from analysis.finetuned import of_stage, refuse_plan
    from analysis.planning.budget import budget_in
    from analysis.reading.prices import MONEY

    refuse_plan(metric)
    runs = of_stage(runs, metric)  # a cell of fine-tuning is none that pre-training has done
    in_money = settings.get("x") in MONEY or budget_in(settings.get("budget") or 1.0).currency is not None
    return chosen_of(runs, _candidates(candidates, runs, metric, db, in_money), metric=metric, **settings)


def halve(
    runs: pd.DataFrame,
    candidates: str | Path | Mapping[str, Any] | pd.DataFrame | None = None,
    *,
    metric: str = "val_loss",
    db: str | None = None,
    **settings: Any,
) -> Halving:
    """Say where the interval of a forecast comes from, and find the cheapest way to halve it, see `analysis.halve`.

    >>> scaling.halve(runs, target=0.002).sentence()
    'val_loss at 0.00200 core_hours is ... of that variance ...'

    Args:
        candidates, metric, db: as `plan` has them. settings: of `analysis.halve`: target, x, law, level …

    Raises: what `plan` and `analysis.halve` raise.
    """
    from analysis import halve as halving_of
    from analysis.finetuned import of_stage, refuse_plan

    refuse_plan(metric)
    runs = of_stage(runs, metric)
    cells = None if candidates is None else _candidates(candidates, runs, metric, db, settings.get("x") == "cost")
    return halving_of(runs, candidates=cells, metric=metric, **settings)


def _candidates(
    given: str | Path | Mapping[str, Any] | pd.DataFrame | None, runs: pd.DataFrame, metric: str, db: str | None, in_money: bool
) -> pd.DataFrame:
    import pandas as pd

    from analysis import read_runs, source_of
    from analysis.planning.neighbours import neighbouring_cells
    from analysis.selection import rehearsed

    if given is None:
        return neighbouring_cells(runs, metric=metric, in_money=in_money)
    if isinstance(given, pd.DataFrame):
        return given
    if not isinstance(given, Mapping) and Path(given).suffix.lower() not in (".yaml", ".yml"):
        head, names = read_runs(given), source_of(runs).get("mapping", {})
        return read_runs(given, {ours: theirs for ours, theirs in names.items() if theirs in head})
    from orchestrator.experiments_file import read_spec
    from orchestrator.planning.plan import make_plan
    from orchestrator.planning.priced import price, rates_in, rates_of
    from trainer.users_code import look_in

    look_in(Path.cwd())
    spec, document = read_spec(given)
    runs = runs[rehearsed(runs) == (spec.simulate is not None)]
    cells = candidate_cells(price(make_plan(spec, document), rates_of(db) if db else rates_in(runs)).plan, runs)
    if cells.empty:
        raise UsageError(
            f"every cell of {document.file} is done: there is nothing to choose from", hint="add models or epoch budgets to it"
        )
    return cells


def candidate_cells(plan: Plan, runs: pd.DataFrame) -> pd.DataFrame:
    """List the cells with a run that has not finished, or whose learning rate is still to be found, a row each.

    The columns are `family`, `model`, `epochs`, `params`, `examples_seen`, `unique_examples`, `train_flops` of one run, `seeds` and
    `runs` still to do, and `core_hours` of all of them. The price is the plan's estimate; `cost` and `currency` are it in money, where the file
    has prices.

    Args:
        plan: with its estimates, see `orchestrator.planning.priced`.
        runs: the table of runs, with `id` and `status` where known.
    """
    import pandas as pd

    if "imported_from" in runs:  # a run elsewhere is no run of this file
        runs = runs[runs["imported_from"].fillna("") == ""]
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
    own, prices = plan.spec.resources.accelerator, plan.spec.prices
    rows: list[dict[str, object]] = []
    for (family, model, epochs), waiting in cells.items():
        first = waiting[0]
        rows.append(
            {
                "family": family,
                "model": model,
                "epochs": epochs,
                **{name: getattr(first, name) or None for name in ("params", "examples_seen", "unique_examples", "train_flops")},
                "seeds": len({run.config.seed for run in waiting}),
                "runs": len(waiting),
                "accelerator": own,
                "cores": plan.spec.core_count,
                "chips": plan.spec.resources.chip_count,
                "core_hours": (hours := sum(run.estimated_core_hours for run in waiting)),
                **({"cost": prices.cost(own, hours), "currency": prices.currency} if prices else {}),
            }
        )
    return pd.DataFrame(rows)
