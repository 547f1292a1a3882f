"""Prints two tables of docs/rivals.md: what the searches cost, and what additions to a recipe are worth.

    python docs/rivals.py searches docs/rivals.csv
    python docs/rivals.py recipes docs/rivals_recipes.csv

TFLOPs are 1e12 training FLOPs; GFLOP/s are those of a core while it trains. A trial is a learning rate of a cell. Lowest, highest: cells whose best rate is the
lowest or the highest that they tried. Not used: runs at other rates than their cell's best.

The second compares at equal training FLOPs by `analysis.compare`, a row an addition and family: with it over without, less 1.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping

import pandas as pd

import analysis

HEAD = (
    "stage",
    "family",
    "cells",
    "trials a cell",
    "lowest is best",
    "highest is best",
    "runs",
    "TFLOPs",
    "of it not used",
    "core-hours",
    "of it not used",
    "GFLOP/s",
)

FAMILIES = ("nfnet", "vit", "resnet")
ADDITIONS = (
    ("SAM", "-sam", ""),
    ("stochastic depth 0.1", "-depth", ""),
    ("label smoothing 0.1", "-smooth", ""),
    ("crops and flips", "-crop", ""),
    ("4 repeats, over crops and flips", "-repeats", "-crop"),
)
"""Name, and what the models with it and without it are called after family and size."""


def recipes(path: str) -> None:
    runs = analysis.read_runs(path)
    print(
        "| addition | family | val_loss, mean of the budgets | at the largest | a tenfold budget adds | top-1 error, mean of the budgets |\n|---|---|---|---|---|---|"
    )
    for name, with_it, without in ADDITIONS:
        for family in ("vit", "resnet"):
            loss, error = (
                analysis.compare(
                    runs, by="model", a=f"{family}-2{with_it}", b=f"{family}-2{without}", x="train_flops", metric=metric
                ).to_dict()
                for metric in ("val_loss", "val_top1_error")
            )
            parts = [
                (loss["log_ratio"], 1),
                (loss["at_largest"]["log_ratio"], 1),
                (loss["trend"], math.log(10)),
                (error["log_ratio"], 1),
            ]
            print(f"| {name} | {family} | {' | '.join(_percent(*part) for part in parts)} |")


def _percent(log_ratio: Mapping[str, float], times: float) -> str:
    value, low, high = (f"{100 * math.expm1(times * log_ratio[part]):+.1f}" for part in ("value", "low", "high"))
    return f"{value} % ({low} … {high})"


def searches(path: str) -> None:
    table = pd.read_csv(path)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for stage in ("pretraining", "finetuning"):
        for family in FAMILIES:
            runs = table[(table["stage"] == stage) & (table["family"] == family)]
            if len(runs):
                print(f"| {' | '.join((stage, family, *_row(runs, table)))} |")


def _row(runs: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """Return the figures of one family in one stage. A cell of fine-tuning is a model at the epochs that its parents were trained for."""
    runs = runs.assign(budget=runs["parent"].map(table.set_index("id")["epochs"]).fillna(runs["epochs"]))
    cells = [cell for _, cell in runs.groupby(["model", "budget"])]
    tried, best = [sorted(cell["learning_rate"].unique()) for cell in cells], [_best(cell) for cell in cells]
    lowest, highest = (sum(rate == rates[edge] for rates, rate in zip(tried, best, strict=True)) for edge in (0, -1))
    unused = pd.concat([cell[cell["learning_rate"] != rate] for cell, rate in zip(cells, best, strict=True)])
    flops, hours = runs["train_flops"].sum(), runs["core_hours"].sum()
    trials = sum(map(len, tried)) / len(cells)
    return [
        str(len(cells)), f"{trials:.2f}", str(lowest), str(highest), str(len(runs)), f"{flops / 1e12:.2f}", f"{unused['train_flops'].sum() / flops:.0%}",
        f"{hours:.2f}", f"{unused['core_hours'].sum() / hours:.0%}", f"{flops / hours / 3600 / 1e9:.2f}",
    ]  # fmt: skip


def _best(cell: pd.DataFrame) -> float:
    """Return the rate of a cell that was trained on all seeds; of several the one of the lowest mean loss."""
    by_rate = cell[cell["status"] == "finished"].groupby("learning_rate")["val_loss"].agg(["count", "mean"])
    return float(by_rate.sort_values(["count", "mean"], ascending=[False, True]).index[0])


if __name__ == "__main__":
    {"searches": searches, "recipes": recipes}[sys.argv[1]](sys.argv[2])
