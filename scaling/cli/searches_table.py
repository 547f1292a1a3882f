"""`scaling lr --searches`: what the searches of the store did, as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scaling.columns import PRETRAINING
from scaling.formulas import csv_text
from scaling.rounding import amount, percent, significant

if TYPE_CHECKING:
    from orchestrator.search.report import CellReport, SearchReport

__all__ = ["show_searches"]

_COLUMNS = (
    "experiment", "family", "model", "epochs", "stage", "state", "learning_rate", "second", "second_value", "trials", "loss", "grid_rates", "best_of_grid", "best_rate", "regret",
    "seed_std", "runs", "grid_runs", "train_flops", "core_hours", "grid_core_hours",
)  # fmt: skip


def show_searches(db: str, experiment: str | None, *, json: bool, csv: bool) -> None:
    """Print the searches of one experiment, or of each that has some."""
    from orchestrator.search.report import reports_payload, search_report
    from orchestrator.store import open_readonly, queries, searches
    from scaling.cli.output import print_json, print_text
    from scaling.errors import UnknownName, UsageError

    store = open_readonly(db)
    with store.read() as session:
        known = [row["name"] for row in queries.experiments(session)]
        if experiment is not None and experiment not in known:
            raise UnknownName("experiment", experiment, known)
        names = list(dict.fromkeys(row["experiment"] for row in searches.cells(session, experiment)))
        if not names:
            raise UsageError(
                "no learning rate is searched for here",
                hint="in an experiments file: learning_rate: {policy: two-trial, start: 1.6}",
            )
        reports = [search_report(session, name) for name in names]
    if json:
        print_json(reports_payload(reports))
    elif csv:
        rows = [
            {"experiment": entry["experiment"], **cell} for entry in reports_payload(reports)["searches"] for cell in entry["cells"]
        ]
        print_text(csv_text(rows, _COLUMNS))
    else:
        for report in reports:
            _show(report)


def _show(report: SearchReport) -> None:
    from rich.table import Column, Table

    from scaling.cli.output import console

    out = console()
    seconds = sorted({cell.second for cell in report.cells} - {""})
    besides = [name.replace("_", " ") for name in seconds]
    names = ("epochs", "learning rate", *besides, "trials", "val_loss", "of grid", "best of grid", "regret", "core-hours", "grid")
    table = Table(
        "model", *[Column(name, justify="right") for name in names], "", box=None, pad_edge=False, collapse_padding=True, title=None
    )
    for cell in report.cells:
        table.add_row(
            cell.model if cell.stage == PRETRAINING else f"{cell.model}, fine-tuned", f"{cell.epochs:g}", _rate(cell.learning_rate), *(_rate(cell.second_value if cell.second == name else None) for name in seconds), str(cell.trials), significant(cell.loss), str(cell.grid_rates or "–"),
            "–" if cell.best_rate is None else f"{significant(cell.best_of_grid)} at {cell.best_rate:g}", percent(cell.regret, 3),
            amount(cell.core_hours), amount(cell.grid_core_hours), _note(cell),
        )  # fmt: skip
    out.print(f"{report.experiment}: learning rates{''.join(f' and {name}' for name in besides)} by two trials", highlight=False)
    out.print(table)
    if report.trials_per_cell is not None:
        out.print(f"{significant(report.trials_per_cell, 3)} trials a cell", highlight=False)
    if report.regret is not None:
        noise = (
            "" if report.seed_noise is None else f"; seeds of one rate differ by {percent(math.expm1(report.seed_noise))} (one sd)"
        )
        error = "" if report.regret_error is None else f" ± {percent(report.regret_error, 3)} (standard error over the cells)"
        out.print(f"loss {percent(report.regret, 3)}{error} above the best of the grid, on average{noise}", highlight=False)
    if report.share_of_grid is not None:
        out.print(
            f"{percent(report.share_of_grid, 3)} of the grid's core-hours, {percent(report.share_of_grid_flops, 3)} of its FLOPs: "
            f"{amount(report.core_hours_saved)} core-hours saved"
            f"{_of_what_grid(report)}",
            highlight=False,
        )


def _of_what_grid(report: SearchReport) -> str:
    if any(cell.second for cell in report.cells):
        return " (the grid: five rates, and five values of what was searched for besides, at the price of these runs)"
    return "" if any(cell.grid_rates for cell in report.cells) else " (no grid was run: five rates at the price of these runs)"


def _note(cell: CellReport) -> str:
    return "" if cell.state == "settled" else cell.state


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"
