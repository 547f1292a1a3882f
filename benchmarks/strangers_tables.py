"""Simulated tables of the shapes that `benchmarks/strangers.py` asks about; the truth of each is in its docstring."""

from __future__ import annotations

import numpy as np
import pandas as pd

SPLIT = 2e7


def power_floor(*, unit: float = 1.0, rng_seed: int = 4) -> pd.DataFrame:
    """1.8 + 2.2·(C/1e18)^−0.3 at 12 computes, 0.5 % noise. unit: FLOP in one of the column's."""
    rng = np.random.default_rng(rng_seed)
    flop = np.geomspace(1e18, 1e22, 12)
    loss = (1.8 + 2.2 * (flop / 1e18) ** -0.3) * np.exp(0.005 * rng.standard_normal(12))
    return pd.DataFrame({"train_flops": flop / unit, "val_loss": loss})


def sizes_and_examples(*, noise: float = 0.005) -> pd.DataFrame:
    """1.7 + 400·N^−0.34 + 410·D^−0.28: six sizes of 1e7 … 3e9 parameters at five numbers of examples."""
    rng = np.random.default_rng(0)
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 3e9, 6), np.geomspace(1e9, 1e11, 5), indexing="ij"))
    loss = (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * np.exp(noise * rng.standard_normal(len(N)))
    return pd.DataFrame({"params": N, "examples_seen": D, "val_loss": loss})


def repeated(*, most: float = 9_000) -> pd.DataFrame:
    """Muennighoff's law with R* = 15 at up to 32 repeats, 0.3 % noise, and one run of `most` repeats."""
    rng = np.random.default_rng(2)
    N, U, repeats = (axis.ravel() for axis in np.meshgrid([1e7, 4e7, 1.6e8], [1e8, 1e9], [1.0, 2, 4, 8, 16, 32], indexing="ij"))
    N, U, repeats = (np.append(axis, last) for axis, last in ((N, 4e7), (U, 1e8), (repeats, most)))
    worth = U * (1 + 15 * (1 - np.exp(-(repeats - 1) / 15)))
    loss = (1.7 + 400 * N**-0.34 + 410 * worth**-0.28) * np.exp(0.003 * rng.standard_normal(len(N)))
    return pd.DataFrame({"params": N, "examples_seen": U * repeats, "unique_examples": U, "val_loss": loss})


def one_outlier() -> pd.DataFrame:
    """3·C^−0.1 at ten computes, 0.5 % noise, the loss of the sixth 1.5 times too high."""
    rng = np.random.default_rng(1)
    hours = np.geomspace(1, 1000, 10)
    loss = 3 * hours**-0.1 * np.exp(0.005 * rng.standard_normal(10))
    loss[5] *= 1.5
    return pd.DataFrame({"core_hours": hours, "val_loss": loss})


def grid(*, columns: tuple[str, ...] = ("params", "epochs"), rng_seed: int = 0) -> pd.DataFrame:
    """0.5 + 60·N^−0.34 + 40·D^−0.3 for five sizes at six epoch budgets, 0.4 % noise; the best size grows as C^0.469."""
    rng = np.random.default_rng(rng_seed)
    N, epochs = (axis.ravel() for axis in np.meshgrid(1e6 * 3.0 ** np.arange(5), 2.0 ** np.arange(-2, 4), indexing="ij"))
    D = SPLIT * epochs
    loss = (0.5 + 60 * N**-0.34 + 40 * D**-0.30) * np.exp(0.004 * rng.standard_normal(len(N)))
    table = pd.DataFrame({"params": N, "epochs": epochs, "examples_seen": D, "core_hours": 6 * N * D / 1e15, "val_loss": loss})
    return table[[*columns, "core_hours", "val_loss"]]


def batch_sizes() -> pd.DataFrame:
    """Two batch sizes at each of eight budgets: the law of the better one is 3·C^−0.1, the other's losses are 10 % higher."""
    rng = np.random.default_rng(0)
    hours = np.tile(np.geomspace(1, 100, 8), 2)
    batch = np.repeat([256, 4096], 8)
    loss = 3 * hours**-0.1 * np.where(batch == 256, 1.0, 1.1) * np.exp(0.003 * rng.standard_normal(16))
    return pd.DataFrame({"model": "m", "epochs": hours, "batch_size": batch, "core_hours": hours, "val_loss": loss})


def unnamed_sizes() -> pd.DataFrame:
    """3·C^−0.1 for five sizes, which cost 1 … 16 core-hours a step budget, and which no column names."""
    size, budget = (axis.ravel() for axis in np.meshgrid([1.0, 2, 4, 8, 16], [1, 3, 9, 27]))
    return pd.DataFrame({"steps": 1000 * budget, "core_hours": size * budget, "val_loss": 3 * (size * budget) ** -0.1})


def two_recipes_of_one_seed() -> pd.DataFrame:
    """Every budget twice with seed 0, once with each value of `augment`."""
    return batch_sizes().rename(columns={"batch_size": "augment"}).replace({"augment": {256: "none", 4096: "mixup"}}).assign(seed=0)


def checkpoints() -> pd.DataFrame:
    """Loss curves of 12 runs, 20 checkpoints each; a run lies off 1.5 + 300·N^−0.35 + 200·D^−0.28 as a whole, by 2 %."""
    rng = np.random.default_rng(0)
    rows = [
        (f"r{run}", 1e7 * 1.5**run, step, seen, off)
        for run, off in enumerate(0.02 * rng.standard_normal(12))
        for step, seen in enumerate(np.geomspace(1e8, 1e10, 20))
    ]
    table = pd.DataFrame(rows, columns=["run", "params", "step", "examples_seen", "off"])
    loss = 1.5 + 300 * table["params"] ** -0.35 + 200 * table["examples_seen"] ** -0.28
    return table.assign(train_flops=6 * table["params"] * table["examples_seen"], val_loss=loss * np.exp(table.pop("off")))


def checkpoints_called(**names: str) -> pd.DataFrame:
    """The same without examples, with columns called otherwise; one that is called nothing is not there."""
    table = checkpoints().drop(columns="examples_seen")
    gone = [ours for ours, theirs in names.items() if not theirs]
    return table.drop(columns=gone).rename(columns={ours: theirs for ours, theirs in names.items() if theirs})


def two_step_budgets(*, seeds: int = 1) -> pd.DataFrame:
    """Six models of one epoch each, at 1000 and 2000 steps; loss 3·C^−0.1."""
    rng = np.random.default_rng(0)
    rows = [
        (f"m{model}", 1, steps, seed, 3.0**model * steps / 1e3)
        for model in range(6)
        for steps in (1000, 2000)
        for seed in range(seeds)
    ]
    table = pd.DataFrame(rows, columns=["model", "epochs", "steps", "seed", "core_hours"])
    table["val_loss"] = 3 * table["core_hours"] ** -0.1 * np.exp(0.005 * rng.standard_normal(len(table)))
    return table if seeds > 1 else table.drop(columns="seed")


def ten_budgets() -> pd.DataFrame:
    """1 + 2·C^−0.2, noise of 0.2 %."""
    hours = np.geomspace(1, 1000, 10)
    noise = 0.002 * np.random.default_rng(90).standard_normal(10)
    return pd.DataFrame({"core_hours": hours, "val_loss": (1 + 2 * hours**-0.2) * np.exp(noise)})


def valley() -> pd.DataFrame:
    """isoFLOP curves that no sum of powers follows: log loss is a parabola about N* = 1e8·(C/6e18)^0.35; 0.3 % noise."""
    rng = np.random.default_rng(1)
    rows = []
    for C in np.geomspace(6e18, 1e21, 8):
        u = np.log(C / 6e18)
        for N in 3e8 * (C / 6e18) ** 0.4 * 10 ** np.linspace(-1, 1, 9):
            loss = np.exp(1 - 0.1 * u + 0.01 * (np.log(N / 1e8) - 0.35 * u) ** 2) * np.exp(0.003 * rng.standard_normal())
            rows.append((N, C / (6 * N), C, loss))
    return pd.DataFrame(rows, columns=["params", "examples_seen", "train_flops", "val_loss"])


def crossing(*, epochs: bool) -> pd.DataFrame:
    """Two recipes: b's loss equals a's at 54 core-hours and is 9.5 % lower at 1,000; 0.4 % noise."""
    rng = np.random.default_rng(1)
    hours = np.geomspace(1, 1000, 10)
    a = 3 * hours**-0.1
    b = a * (hours / 54) ** (np.log(1 - 0.095) / np.log(1000 / 54))
    sides = [
        pd.DataFrame(
            {
                "family": name,
                "model": "m",
                "epochs": hours,
                "core_hours": hours,
                "val_loss": loss * np.exp(0.004 * rng.standard_normal(10)),
            }
        )
        for name, loss in (("a", a), ("b", b))
    ]
    table = pd.concat(sides, ignore_index=True)
    return table if epochs else table.drop(columns=["epochs", "model"])


def falls_again() -> pd.DataFrame:
    """1 + 2·C^−0.8, and 7 % less from 5,000 core-hours on: the floor that is fitted lies above the last losses."""
    rng = np.random.default_rng(0)
    hours = np.geomspace(1, 1e4, 14)
    loss = np.where(hours > 5e3, 0.93, 1.0) + 2 * hours**-0.8
    return pd.DataFrame({"core_hours": hours, "val_loss": loss * np.exp(0.002 * rng.standard_normal(14))})


def with_floor(*, budgets: int = 12) -> pd.DataFrame:
    """1 + 2·C^−0.3, 0.3 % noise, from 1 to 1e4 core-hours; at 1e6 the loss is 1.0317."""
    rng = np.random.default_rng(3)
    hours = np.geomspace(1, 1e4, budgets)
    return pd.DataFrame({"core_hours": hours, "val_loss": (1 + 2 * hours**-0.3) * np.exp(0.003 * rng.standard_normal(budgets))})


def plain(**columns: object) -> pd.DataFrame:
    """1.5·C^−0.2 at ten computes from 1 to 100 core-hours, without noise."""
    hours = np.geomspace(1, 100, 10)
    return pd.DataFrame({"core_hours": hours, "val_loss": 1.5 * hours**-0.2, **columns})


def short_of_its_steps() -> pd.DataFrame:
    """As `plain`, one step a 1e-3 core-hours; the third run stopped at step 480 with a loss of 3, its state finished."""
    table = plain(status="finished")
    steps = (1000 * table["core_hours"]).round()
    table = table.assign(step=steps, steps=steps)
    table.loc[2, ["step", "val_loss"]] = 480, 3.0
    return table


def chart() -> pd.DataFrame:
    """The export of a chart of W&B, three runs, without its columns __MIN and __MAX."""
    step = np.arange(0, 100, 10)
    return pd.DataFrame({"Step": step, **{f"{run} - val_loss": 3 - step / (100 + number) for number, run in enumerate("abc")}})


def flops_and_params() -> pd.DataFrame:
    """`sizes_and_examples` with FLOP = 6·N·D in place of the examples."""
    table = sizes_and_examples()
    return table.assign(flops=6 * table["params"] * table["examples_seen"]).drop(columns="examples_seen")


def decimal_commas() -> str:
    """`plain` as a spreadsheet of a German user saves it."""
    return plain().to_csv(index=False, sep=";", decimal=",")


def preamble() -> str:
    """`plain` below a title and a blank line."""
    return "Scaling study of May\n\n" + plain().to_csv(index=False)


def beside_rehearsed() -> pd.DataFrame:
    """`plain` as family nfnet, and as many rows of family simulated, as `scaling submit --simulate` makes them, with a loss of 9."""
    return pd.concat([plain(family="nfnet"), plain(family="simulated").assign(val_loss=9.0)], ignore_index=True)


def far_off() -> pd.DataFrame:
    """`one_outlier` with the sixth loss 2.21 times, that is 121 %, too high, and twenty runs, so that the line hardly moves."""
    rng = np.random.default_rng(1)
    hours = np.geomspace(1, 1000, 40)
    loss = 3 * hours**-0.1 * np.exp(0.002 * rng.standard_normal(40))
    loss[20] *= 2.21
    return pd.DataFrame({"core_hours": hours, "val_loss": loss})
