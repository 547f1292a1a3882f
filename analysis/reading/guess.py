"""Guesses of what the columns of somebody's table are, by their names.

They give a first `--map` and `--unit`, to be looked at before it is believed.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

import pandas as pd

from analysis.reading.column_kinds import is_data, is_learning_rate, is_size, words_of
from analysis.reading.headers import unit_in_header
from scaling.columns import describe
from scaling.errors import DataError

__all__ = ["Guess", "guess"]


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_HELD_OUT = ("val", "valid", "validation", "eval", "evaluation", "test", "dev", "heldout")

_CALLED: dict[str, tuple[str, ...]] = {
    "core_hours": _names("core_hours gpu_hours tpu_hours chip_hours device_hours accelerator_hours compute_hours gpu_h core_h"),
    "train_flops": _names(
        "train_flops training_flops total_flops flops train_flop training_flop total_flop flop compute_flops total_train_flops compute c"
    ),
    "params": _names(
        "params n_params num_params nparams parameters n_parameters num_parameters model_params non_embedding_params model_size size weights n"
    ),
    "examples_seen": _names(
        "examples_seen tokens_seen samples_seen images_seen train_tokens training_tokens total_tokens n_tokens num_tokens tokens "
        "train_samples n_samples num_samples samples n_examples examples d"
    ),
    "unique_examples": _names(
        "unique_examples unique_tokens unique_samples distinct_examples distinct_samples distinct_tokens dataset_size train_size"
    ),
    "epochs": _names("epochs n_epochs num_epochs max_epochs total_epochs train_epochs num_train_epochs passes"),
    "family": _names("family model_family arch architecture model_type"),
    "model": _names("model model_name network net variant"),
    "learning_rate": _names("learning_rate lr peak_lr max_lr peak_learning_rate base_lr"),
    "batch_size": _names("batch_size global_batch_size bs train_batch_size"),
    "seed": _names("seed random_seed rng_seed"),
    "status": _names("status state run_state"),
    "accelerator": _names("accelerator gpu_type device_type hardware gpu_name"),
}
"""Our column → what others call it, the surest name first. Single letters are those of the formulas, in capitals."""

_LOSSES = (*(f"{split}_{loss}" for split in _HELD_OUT for loss in ("loss", "nll", "cross_entropy")), *_names("final_loss loss nll"))
_ERRORS = (
    *(f"{split}_{error}" for split in _HELD_OUT for error in ("error", "err", "perplexity", "ppl")),
    *_names("error err perplexity ppl bpb rmse mae train_loss training_loss"),
)
_TIMES = _names("runtime run_time wall_time walltime wall_clock elapsed duration train_time training_time time")
_DEVICES = _names("n_gpus num_gpus gpus n_devices num_devices devices n_chips num_chips chips world_size n_cores num_cores cores")
_OF_DEVICES = frozenset(_names("gpu gpus tpu core cores chip device accelerator"))
_UNITS_AT_END = _names("seconds second secs sec s minutes minute min mins hours hour hr hrs h days pct percent millions billions")


@dataclass(frozen=True)
class Guess:
    """Holds what the columns of a table probably are.

    mapping: our column → theirs, only where the names differ. units: our column → a unit as `--unit` takes it.
    metric, x: as `--metric` and `--x` take them. taken: (our column, what it was taken from, in words).
    unused: the columns that nothing was guessed of.
    """

    mapping: dict[str, str]
    units: dict[str, str]
    metric: str
    x: str
    taken: tuple[tuple[str, str], ...]
    unused: tuple[str, ...]

    @property
    def options(self) -> list[str]:
        """Return the words of the command line that read the table so: `--map …`, `--unit …`."""
        maps = [word for ours, theirs in self.mapping.items() for word in ("--map", f"{ours}={theirs}")]
        return maps + [word for ours, unit in self.units.items() for word in ("--unit", f"{ours}={unit}")]


def guess(table: pd.DataFrame) -> Guess:
    """Guess what a table's columns are, by their names and whether they hold numbers.

    Args:
        table: of `read_runs` without a mapping.

    Raises:
        DataError: no column looks like a result, or none like compute, size or data.
    """
    numbers = {str(name) for name in table if pd.api.types.is_numeric_dtype(table[name]) and table[name].notna().any()}
    found: dict[str, tuple[str, str | None]] = {}  # ours → theirs, unit
    for ours, called in _CALLED.items():
        theirs = _found(table, ours, called, numbers)
        if theirs is not None:
            found[ours] = theirs, _unit(ours, theirs)
    rates = [str(name) for name in table if str(name) in numbers and is_learning_rate(str(name))]
    sizes = [str(name) for name in table if is_size(str(name), table[name])]
    data = [str(name) for name in table if is_data(str(name), table[name])]
    for ours, named in (("learning_rate", rates), ("params", sizes), ("examples_seen", data)):
        if ours not in found and len(named) == 1 and named[0] not in {theirs for theirs, _ in found.values()}:
            found[ours] = named[0], _unit(ours, named[0])  # `optim.lr`, `model.n_params`, `data.tokens`
    if "core_hours" not in found and (time := _time(table, numbers)) is not None:
        found["core_hours"] = time
    metric, of_metric, unit = _metric(table, numbers - {theirs for theirs, _ in found.values()})
    found["val_loss" if metric == "val_loss" else of_metric] = of_metric, unit
    units = {ours: unit for ours, (_, unit) in found.items() if unit is not None}
    used = {theirs for theirs, _ in found.values()} | set(re.findall(r"\w+", " ".join(units.values()))) | {"id"}
    return Guess(
        mapping={ours: theirs for ours, (theirs, _) in found.items() if ours != theirs},
        units=units,
        metric=metric,
        x=_x(found, numbers),
        taken=tuple((ours, f"{theirs}{f', in {units[ours]}' if ours in units else ''}") for ours, (theirs, _) in found.items()),
        unused=tuple(str(name) for name in table if str(name) not in used),
    )


def _plain(name: str) -> Iterator[frozenset[str]]:
    """Yield the set of words of `config.nParams` or `val/loss (bits)`, and then the set without a unit at the end."""
    words = words_of(re.sub(r"[(\[].*?[)\]]", "", name))
    yield frozenset(words)
    if len(words) > 1 and words[-1] in _UNITS_AT_END:
        yield frozenset(words[:-1])


def _words(name: str) -> frozenset[str]:
    return frozenset(name.split("_"))


def _found(table: pd.DataFrame, ours: str, called: tuple[str, ...], numbers: set[str]) -> str | None:
    """Find the column that is called like this, of numbers where ours is; None without one. A single letter counts only in capitals."""
    if ours in table:
        return ours
    is_number = describe(ours).kind != "str"
    for name in called:
        for theirs in map(str, table):
            if len(name) == 1 and theirs != name.upper():
                continue
            if _words(name) in _plain(theirs) and (not is_number or theirs in numbers):
                return theirs
    return None


def _unit(ours: str, theirs: str) -> str | None:
    """Return the unit that the name gives, or None where that is ours or there is none."""
    unit = unit_in_header(theirs, ours) if describe(ours).kind != "str" else None
    return unit.name if unit is not None and unit.factor != 1.0 else None


def _time(table: pd.DataFrame, numbers: set[str]) -> tuple[str, str | None] | None:
    """Find the time that a run took: (column, unit), with the unit times the number of devices where a column counts them.

    Without a unit in its name the column is taken as seconds.
    """
    named = [str(name) for name in table if str(name) in numbers]
    devices = next((name for name in named if next(_plain(name)) in map(_words, _DEVICES) and re.fullmatch(r"\w+", name)), None)
    timed = [name for name in named if unit_in_header(name, "core_hours") is not None and "per" not in words_of(name)]
    timed += [name for wanted in _TIMES for name in named if _words(wanted) in _plain(name)]
    if not timed:
        return None
    unit = unit_in_header(timed[0], "core_hours")
    words = unit.name if unit is not None else "seconds"
    if devices is not None and not _OF_DEVICES & set(words_of(timed[0])):
        return timed[0], f"{words}*{devices}"
    return timed[0], None if unit is not None and unit.factor == 1.0 else words


def _metric(table: pd.DataFrame, numbers: set[str]) -> tuple[str, str, str | None]:
    """Find the result: (the metric as `--metric` takes it, the column it is of, the unit of that or None)."""
    named = [str(name) for name in table if str(name) in numbers]
    for called, is_loss in ((_LOSSES, True), (_ERRORS, False)):
        for theirs in (theirs for wanted in called for theirs in named if _words(wanted) in _plain(theirs)):
            ours = "val_loss" if is_loss else theirs
            return ours, theirs, _unit(ours, theirs)
    for theirs in named:
        words = set(words_of(theirs))
        if words & {"train", "training", "grad"}:
            continue
        if words & {"loss", "error", "perplexity", "ppl"}:
            return theirs, theirs, _unit(theirs, theirs)
        if words & {"accuracy", "acc", "top"}:
            return f"{theirs}_error", theirs, "%" if float(table[theirs].max()) > 1 else None
    raise DataError(
        "no column looks like a loss, an error or an accuracy",
        hint=f"name it: scaling fit --data FILE --metric COLUMN; numbers are in {', '.join(sorted(numbers)) or 'no column'}",
    )


def _x(found: Container[str], numbers: set[str]) -> str:
    for ours in ("core_hours", "train_flops"):
        if ours in found:
            return ours
    both = [ours for ours in ("params", "examples_seen") if ours in found]
    if not both:
        raise DataError(
            "no column looks like compute, model size or data",
            hint=f"name it: scaling fit --data FILE --x COLUMN; numbers are in {', '.join(sorted(numbers))}",
        )
    return ",".join(both)
