"""What the pointer shows: the parameters of a run or a cell, as small lines of text."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from scaling.rounding import significant

__all__ = ["cell_texts", "run_texts"]


_OF_RUNS, _OF_CELLS = (
    ("model", "epochs", "seed", "learning_rate", "id"),
    ("model", "epochs", "params", "learning_rate", "seeds", "on_frontier"),
)


def run_texts(runs: pd.DataFrame, metric: str, x: str) -> list[str]:
    """Write the text of each run: `F1 · 2 epochs · seed 0`, learning rate, x, metric, id."""
    return [_run_text(row, metric, x) for row in _rows(runs, (*_OF_RUNS, metric, x))]


def cell_texts(cells: pd.DataFrame, metric: str, x: str) -> list[str]:
    """Write the text of each cell's mean: model and epochs, parameters, learning rate, x, metric, and the spread of its seeds."""
    return [_cell_text(row, metric, x) for row in _rows(cells, (*_OF_CELLS, metric, x, f"{metric}_min", f"{metric}_max"))]


def _run_text(run: Mapping[object, object], metric: str, x: str) -> str:
    seed = f" · seed {run['seed']:g}" if _known(run.get("seed")) else ""
    return "<br>".join([f"<b>{_title(run)}</b>{seed}", *_rate(run), *_values(run, metric, x), f"run {run['id']}"])


def _cell_text(cell: Mapping[object, Any], metric: str, x: str) -> str:
    lines = [f"<b>{_title(cell)}</b>"]
    if _known(cell.get("params")):
        lines.append(f"{cell['params']:,.0f} parameters")
    lines += [*_rate(cell), *_values(cell, metric, x)]
    if cell["seeds"] > 1:
        low, high = significant(cell[f"{metric}_min"]), significant(cell[f"{metric}_max"])
        lines.append(f"mean of {cell['seeds']} seeds, {low} … {high}")
    if cell["on_frontier"]:
        lines.append("compute-optimal")
    return "<br>".join(lines)


def _rows(table: pd.DataFrame, names: Sequence[str]) -> list[dict[Hashable, Any]]:
    """Return the rows with the columns that a text is made of: of all 60 columns of a store it takes ten times as long."""
    return table[[name for name in dict.fromkeys(names) if name in table]].to_dict("records")


def _title(row: Mapping[object, object]) -> str:
    epochs = row.get("epochs")
    if not _known(epochs):
        return str(row["model"]) or "run"
    return f"{row['model']} · {epochs:g} epoch{'' if epochs == 1 else 's'}".removeprefix(" · ")


def _rate(row: Mapping[object, object]) -> list[str]:
    return [f"learning rate {row['learning_rate']:g}"] if _known(row.get("learning_rate")) else []


def _values(row: Mapping[object, Any], metric: str, x: str) -> list[str]:
    return [f"{name} {significant(float(row[name]))}" for name in (x, metric)]


def _known(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))
