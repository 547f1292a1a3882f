"""The one source of column names, units and descriptions: SQL, JSON, CSV, pages and docs spell a quantity as it is spelled here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "COLUMNS",
    "FINETUNING",
    "PRETRAINING",
    "RECIPE_COLUMNS",
    "RECIPE_NEUTRAL",
    "RUN_COLUMNS",
    "SCHEMA_VERSION",
    "Column",
    "check_mapping",
    "column_name",
    "describe",
    "model_title",
    "table_rows",
    "with_recipes",
]

PRETRAINING, FINETUNING = "pretraining", "finetuning"
"""Values of the column `stage`."""

SCHEMA_VERSION = 1
"""Version of every JSON object that `--json` prints or the HTTP API returns. Raised when a field changes meaning or goes away."""


def model_title(row: Mapping[str, Any]) -> str:
    """Write a run's model as it is shown to people: `F7+`, of a rehearsal `F7+ (simulated)`.

    An imported run whose file names no model is called as it is there.
    """
    name = row["model"] or row.get("imported_id") or "–"
    return f"{name} (simulated)" if row.get("rehearsal") else str(name)


@dataclass(frozen=True)
class Column:
    """Describes a named quantity.

    `unit` is empty for names and pure numbers; `kind` is `str`, `bool`, `int`, `float`, `list` or `time`.
    """

    name: str
    kind: str
    unit: str
    description: str

    @property
    def label(self) -> str:
        """Return the text for an axis or a table head: `core_hours` → `Core-hours`, `val_loss` → `Validation loss (nats)`.

        `finetune_top1_error` → `Top-1 error after fine-tuning`.
        """
        if (of_parent := self.name.removeprefix("finetune_")) != self.name:
            return f"{describe(of_parent).label} after fine-tuning"
        text = _LABELS.get(self.name) or self.name.replace("_", " ").capitalize()
        return f"{text} ({self.unit})" if self.unit and self.unit.lower() not in text.lower() else text


_LABELS = {
    "core_hours": "Core-hours",
    "allocated_core_hours": "Allocated core-hours",
    "val_loss": "Validation loss",
    "val_top1": "Validation top-1 accuracy",
    "val_top5": "Validation top-5 accuracy",
    "top1_error": "Top-1 error",
    "top5_error": "Top-5 error",
    "train_flops": "Training FLOPs",
    "params": "Parameters",
}

RUN_COLUMNS: tuple[Column, ...] = (
    Column("id", "str", "", "Run id: 16 hex digits of a hash over all that changes the result."),
    Column("experiments", "list", "", "Names of the experiments that want this run."),
    Column("family", "str", "", "Model family, e.g. nfnet."),
    Column("model", "str", "", "Model within the family, e.g. F3 or nano-F1."),
    Column("rehearsal", "bool", "", "Whether nothing was trained: the loss follows the surface that `simulate` states."),
    Column("dataset", "str", "", "Name of the data set."),
    Column("epochs", "float", "", "Epoch budget: passes over the training split; 0.25 is a quarter of it."),
    Column("seed", "int", "", "Seed of initialisation and data order."),
    Column("learning_rate", "float", "", "Peak learning rate given to the optimiser, not rescaled by batch."),
    Column("batch_size", "int", "examples", "Examples a step, over all devices."),
    Column(
        "weight_decay", "float", "", "Weight decay given to the optimiser; empty where it has none, and where a program trains."
    ),
    Column(
        "searched",
        "str",
        "",
        "What a search of the run's cell chooses beside the learning rate, weight_decay or batch_size: of a cell's values the best counts. Empty for nothing.",
    ),
    Column("status", "str", "", "pending, running, paused, finished, stopped, diverged, failed or cancelled."),
    Column("reason", "str", "", "Why the run has its status, when that needs saying; of a finished one, no-better-than-guessing."),
    Column("excluded", "str", "", "Why a user left the run out of fits; empty when it counts."),
    Column("accelerator", "str", "", "Kind of device that trained it."),
    Column("cores", "int", "cores", "Accelerator cores the run used at once."),
    Column("chips", "int", "chips", "Chips of these cores: a price is of a chip-hour. For `cpu` a chip is a core."),
    Column("params", "int", "", "Trainable parameters."),
    Column("steps", "int", "steps", "Optimiser steps of the whole run."),
    Column("step", "int", "steps", "Optimiser steps done so far."),
    Column("examples_seen", "int", "examples", "Training examples consumed, repeats counted."),
    Column("unique_examples", "int", "examples", "Distinct training examples consumed."),
    Column("train_flops", "float", "FLOP", "Floating-point operations of training: 6 × MACs × examples seen."),
    Column(
        "core_hours",
        "float",
        "core-hours",
        "Useful core-hours: each surviving training step once, as if the run had been done alone. Runs of less than a minute share the mean pace of their "
        "model; the sum is what was measured. The x of the law.",
    ),
    Column(
        "inherited_core_hours",
        "float",
        "core-hours",
        "Part of core_hours that another run's steps gave (reuse_trunk); the grid did cost the sum of core_hours less these.",
    ),
    Column(
        "allocated_core_hours",
        "float",
        "core-hours",
        "Core-hours the devices were held for this run: useful, redone, start-up, evaluation and checkpoints.",
    ),
    Column(
        "cost",
        "float",
        "",
        "Money for core_hours: chip-hours at the price of the accelerator, in the unit of `currency`; of useful hours, so that "
        "interruptions do not move it. Empty where no price is known.",
    ),
    Column("allocated_cost", "float", "", "Money for allocated_core_hours: what was paid, and what a budget in money counts."),
    Column("currency", "str", "", "Label of the money in cost and allocated_cost; nothing is converted."),
    Column("val_loss", "float", "nats", "Cross-entropy on the held-out split at the last step, without label smoothing."),
    Column("val_top1", "float", "", "Share of held-out examples whose first guess is right, 0 … 1."),
    Column("val_top5", "float", "", "Share of held-out examples whose label is among the first five guesses, 0 … 1."),
    Column(
        "chance_loss",
        "float",
        "nats",
        "Loss of guessing by the frequencies of the held-out labels: their entropy. A run without skill has it.",
    ),
    Column("train_loss", "float", "nats", "Mean training loss over the last logged stretch of steps."),
    Column("attempts", "int", "", "How often the run was put on hardware."),
    Column(
        "packed",
        "int",
        "",
        "Runs that were trained at once on the same devices; core-hours are a run's share. 1 when it was alone.",
    ),
    Column("parent", "str", "", "Run id of the run this one starts from, if any."),
    Column("stage", "str", "", "pretraining, or finetuning: started from the weights of `parent`."),
    Column("imported_from", "str", "", "File that the run was imported from (`scaling import`); empty for a run of this store."),
    Column("imported_id", "str", "", "What an imported run is called there."),
    Column("created_at", "time", "UTC", "When the run was accepted."),
    Column("ended_at", "time", "UTC", "When the run reached its final status."),
)

COLUMNS: dict[str, Column] = {column.name: column for column in RUN_COLUMNS}

RECIPE_COLUMNS: tuple[Column, ...] = (
    Column("optimizer", "str", "", "Name of the optimiser."),
    Column("schedule", "str", "", "Name of the learning-rate schedule."),
    Column("label_smoothing", "float", "", "Label smoothing of the training loss; 0 is none."),
    Column("ema", "float", "", "Largest decay of the moving average of the parameters; 0 is none."),
    Column("sam", "float", "", "rho of sharpness-aware minimisation; 0 is without."),
    Column("sam_share", "float", "", "Share of the batch that SAM takes its direction of; 0 is without."),
    Column("dropout", "float", "", "Dropout rate of the model; 0 is none."),
    Column("stochastic_depth", "float", "", "Stochastic depth rate of the model's last block; 0 is none."),
    Column("crop", "bool", "", "Whether training images are cropped at random."),
    Column("flip", "bool", "", "Whether training images are mirrored at random."),
    Column("randaugment_layers", "int", "", "Layers of RandAugment; 0 is none."),
    Column("mixup", "float", "", "Mixup's α; 0 is none."),
    Column("cutmix", "float", "", "CutMix's α; 0 is none."),
    Column("augment_repeats", "int", "", "How often an example appears in a batch, each time augmented anew; 1 is once."),
)
"""Settings of how a run was trained. A table has those in which its runs differ; they tell cells apart, and runs may be compared by them."""

RECIPE_NEUTRAL: dict[str, Any] = {
    column.name: {"float": 0.0, "int": 0, "bool": False}.get(column.kind) for column in RECIPE_COLUMNS
} | {"optimizer": "sgd-agc", "schedule": "cosine", "augment_repeats": 1}
"""What a setting is where an experiments file does not say it; a row of a run leaves it out."""

_RECIPE = {column.name: column for column in RECIPE_COLUMNS}


def with_recipes(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give each row the settings of `RECIPE_COLUMNS` in which the rows differ, the neutral ones among them, and no others.

    A row whose optimiser is None is a program's, of which nobody knows the recipe: it gets none.
    """
    said = [name for name in RECIPE_NEUTRAL if any(name in row for row in rows)]
    if not said:
        return [dict(row) for row in rows]
    ours = [row for row in rows if row.get("optimizer", "") is not None]
    neutral = {name: RECIPE_NEUTRAL[name] for name in said}
    differing = {name: value for name, value in neutral.items() if len({row.get(name, value) for row in ours}) > 1}
    agreed = RECIPE_NEUTRAL.keys() - differing.keys()
    found = []
    for row in rows:
        if row.get("optimizer", "") is None:
            found.append({name: value for name, value in row.items() if name != "optimizer" or name in differing})
        else:
            found.append(
                {
                    **{name: value for name, value in row.items() if name not in agreed},
                    **{name: row.get(name, value) for name, value in differing.items()},
                }
            )
    return found


def table_rows(rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of runs, and the columns of a table of them: `RUN_COLUMNS`, and the settings in which they differ."""
    found = with_recipes(rows)
    held = {name for row in found for name in row}
    return found, [*COLUMNS, *(name for name in RECIPE_NEUTRAL if name in held)]


def describe(name: str) -> Column:
    """Return the column called `name`; an unknown name gets a bare column, so users may bring their own."""
    return COLUMNS.get(name) or _RECIPE.get(name) or Column(name, "float", "", "")


def column_name(name: str) -> str:
    """Spell a column as it is spelled here: `flops` → `train_flops`, `core-hours` → `core_hours`; an unknown name stays as it is."""
    underscored = _ALIASES.get(name, name.replace("-", "_"))
    return underscored if underscored in COLUMNS else name


_ALIASES = {"flops": "train_flops"}


def check_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """Read pairs of our column name = the name in the user's table: `["core_hours=tpu_hours", …]` → `{"core_hours": "tpu_hours"}`.

    Raises `UsageError` for a pair without `=` or for one of our names given twice. Our name may be any name, so that a metric
    we do not know can be fitted, but a near miss of a known one is refused.
    """
    from scaling.errors import UsageError, nearest

    mapping: dict[str, Any] = {}
    for pair in pairs:
        ours, separator, theirs = pair.partition("=")
        ours, theirs = ours.strip(), theirs.strip()
        if not separator or not ours or not theirs:
            raise UsageError(f"--map {pair!r} is not of the form column=theirs", hint="e.g. --map core_hours=tpu_v4_core_hours")
        if ours in mapping:
            raise UsageError(f"--map names column {ours!r} twice", hint="give each column once")
        if ours not in COLUMNS and (guess := nearest(ours, COLUMNS)) and ours.lower().replace("-", "_") in COLUMNS:
            raise UsageError(f"--map: unknown column {ours!r}{guess}", hint=f"known: {', '.join(COLUMNS)}")
        mapping[ours] = theirs
    return mapping
