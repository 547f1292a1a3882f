"""Prints three tables of docs/rivals.md: what the searches cost, and what additions to a recipe are worth, in pre-training and in fine-tuning.

    python docs/rivals.py searches docs/rivals.csv
    python docs/rivals.py recipes docs/rivals_recipes.csv
    python docs/rivals.py tune DIR                       # trains the runs of the next line in the folder DIR, about six minutes on two cores
    python docs/rivals.py tuned docs/rivals_tuned.csv
    python docs/rivals.py widen DIR                      # trains rates of fine-tuning beyond those that the searches tried in the folder DIR

TFLOPs are 1e12 training FLOPs; GFLOP/s are those of a core while it trains. A trial is a learning rate of a cell. Lowest, highest: cells whose best rate is the
lowest or the highest that they tried. Not used: runs at other rates than their cell's best.

The second compares at equal training FLOPs by `analysis.compare`, a row an addition and family: with it over without, less 1. The third compares fine-tunings
of one checkpoint, with the addition and without, by a t interval over the checkpoints.
"""

from __future__ import annotations

import io
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy import stats

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


TUNED: dict[str, dict[str, Any]] = {
    "plain": {},
    "sam": {"sam": {"rho": 0.05, "share": 0.2}},
    "depth": {"model": {"stochastic_depth": 0.1}},
    "smooth": {"label_smoothing": 0.1},
    "crop": {"augment": {"crop": True, "flip": True}},
    "repeats": {"augment": {"crop": True, "flip": True, "repeats": 4}},
}
"""Keys of `finetune` beside those of `plain`, by the name of the addition."""
TUNED_EPOCHS = (0.1, 0.4)


def tune(folder: str) -> None:
    """Fine-tune the same pre-trained runs in every way, each an experiment of its own in one store: the runs before it are trained once."""
    place, study = Path(folder), yaml.safe_load((Path(__file__).parents[1] / "experiments" / "rivals.yaml").read_text())
    place.mkdir(parents=True, exist_ok=True)
    study["models"] = [model for model in study["models"] if model["name"] in ("nfnet-2", "vit-2", "resnet-2")]
    study |= {"epochs": [0.9], "seeds": [0, 1, 2, 3]}
    for family, rate in (("nfnet", 0.2), ("vit", 0.008), ("resnet", 0.4)):
        study["recipes"][family]["learning_rate"] = rate
    rates = {family: {"learning_rate": rate} for family, rate in (("nfnet", 0.1), ("vit", 0.016), ("resnet", 0.2))}
    common = {"dataset": study["finetune"]["dataset"], "from": "all", "recipes": rates}
    studies = [
        study | {"name": f"{name}-{epochs:g}", "finetune": common | {"epochs": epochs} | addition}
        for name, addition in TUNED.items()
        for epochs in TUNED_EPOCHS
    ]
    (Path(__file__).parent / "rivals_tuned.csv").write_text(_submitted(studies, place))


def widen(folder: str) -> None:
    """Fine-tune at the next rate beyond what a cell of fine-tuning tried, where its best is at the edge, until every best is in between."""
    place, study = Path(folder), yaml.safe_load((Path(__file__).parents[1] / "experiments" / "rivals.yaml").read_text())
    models = {model["name"]: model for model in study["models"]}
    table = pd.read_csv(io.StringIO(_submitted([], place)))
    while beyond := _beyond(table):
        studies = []
        for (model, epochs, parents_rate), rate in beyond:
            recipe = {**study["recipes"][models[model]["family"]], "learning_rate": parents_rate}
            tuning = study["finetune"] | {"from": "all", "learning_rate": rate, "recipes": {}}
            own = {"models": [models[model]], "epochs": [epochs], "recipes": {model: recipe}, "finetune": tuning}
            studies.append(study | own | {"name": f"wider-{model}-{epochs:g}-{rate:g}"})
        table = pd.read_csv(io.StringIO(_submitted(studies, place)))


def _beyond(table: pd.DataFrame) -> list[tuple[tuple[str, float, float], float]]:
    """List the cells of fine-tuning whose best rate is an edge of those tried: model, epochs and rate of the parents; and the next rate."""
    runs = table[table["stage"] == "finetuning"]
    parents = table.set_index("id").loc[runs["parent"], ["epochs", "learning_rate"]]
    runs = runs.assign(of_epochs=parents["epochs"].to_numpy(), of_rate=parents["learning_rate"].to_numpy())
    found = []
    for cell, tried in runs.groupby(["model", "of_epochs", "of_rate"]):
        rates, best = sorted(tried["learning_rate"].unique()), _best(tried)
        found += [(cell, best / 2)] if best == rates[0] else [(cell, best * 2)] if best == rates[-1] else []
    return found


def _submitted(studies: list[dict[str, Any]], place: Path) -> str:
    """Submit studies to one store, all at once: the first schedules the runs of all. Return the store's runs as CSV."""
    scaling, submitted = str(Path(sys.executable).with_name("scaling")), []
    for study in studies:
        file = place / f"{study['name']}.yaml"
        file.write_text(yaml.safe_dump(study, sort_keys=False))
        submitted.append(subprocess.Popen([scaling, "submit", file.name], cwd=place))
    for process in submitted:
        process.wait()
    return subprocess.run([scaling, "runs", "--csv"], cwd=place, check=True, capture_output=True, text=True).stdout


def tuned(path: str) -> None:
    runs = pd.read_csv(path)
    runs = runs[runs["stage"] == "finetuning"].assign(way=runs["experiments"].str.rsplit("-", n=1).str[0])
    runs["error"] = 1 - runs["val_top1"]
    print(
        "| addition | family | val_loss at 3,000 images | at 12,000 | top-1 error at 3,000 images | at 12,000 |\n|---|---|---|---|---|---|"
    )
    for name, with_it, without in ADDITIONS:
        ways = [way.removeprefix("-") or "plain" for way in (with_it, without)]
        for family in FAMILIES:
            parts = []
            for metric in ("val_loss", "error"):
                for epochs in TUNED_EPOCHS:
                    own = runs[(runs["family"] == family) & (runs["epochs"] == epochs)]
                    with_, plain = (own[own["way"] == way].set_index("parent")[metric] for way in ways)
                    parts.append(_paired(np.log(with_ / plain).dropna()))
            print(f"| {name} | {family} | {' | '.join(parts)} |")


def _paired(log_ratios: pd.Series) -> str:
    """Write the mean of differences within checkpoints with its 95 % t interval."""
    mean, half = log_ratios.mean(), stats.t.ppf(0.975, len(log_ratios) - 1) * log_ratios.sem()
    return _percent({"value": mean, "low": mean - half, "high": mean + half}, 1)


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
    {"searches": searches, "recipes": recipes, "tune": tune, "tuned": tuned, "widen": widen}[sys.argv[1]](sys.argv[2])
