"""Kinds of columns in somebody's table, told by the words of a name and by the values: results, bookkeeping of runs, labels, settings.

Names alone mislead: `drop_path` is a number and a setting, `data_path` is a text and none; `loss_fn` is no loss, `weight_decay` no weight.
So a result is a number whose name has no other word than those of results, and a path, a host or a user is a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

__all__ = [
    "columns_of_progress",
    "columns_of_runs",
    "is_bookkeeping",
    "is_compute",
    "is_counter",
    "is_data",
    "is_label",
    "is_learning_rate",
    "is_result",
    "is_size",
    "names_files",
    "words_of",
]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WHERE = _words("config params hparams args cfg metrics summary tags sys wandb mlflow")
"""Prefixes by which trackers say where a column comes from."""

_RESULTS = _words(
    "loss losses error err acc accuracy ppl perplexity bpb score metric top f auc bleu flop flops mfu throughput norm best final last"
)
_OF_RESULTS = _words(
    "train training val valid validation test eval dev holdout heldout grad gradient global total min max mean avg average std sem ema smooth "
    "smoothed standard stderr finetune epoch step iteration pct percent rate per second sec s token tokens example examples sample samples image images batch at"
)
_PROGRESS = _words("epoch step iteration iter")

_RUN_NAMES = (
    *("run", "run id", "run name", "run key", "id", "exp id", "uid", "uuid", "trial id", "trial name", "job id", "experiment id"),
    *("trial", "experiment name", "exp name", "experiment", "display name", "name"),
)
_PROGRESS_NAMES = ("step", "global step", "iteration", "iter", "examples seen", "tokens", "tokens seen", "epoch")

_COUNTERS = _words("step steps it its iter iters iteration iterations epoch epochs batches minibatches updates")
_OF_COUNTERS = _words(
    "n num nr number of count total train training trainer global current optimizer optimiser optim gradient seen done trained"
)
_COMPUTE = _words(
    "flop flops pflop pflops exaflop exaflops zflops macs compute hours hour days seconds secs sec minutes mins runtime walltime"
)
_FILES = _words("file filename logfile log logs path dir folder directory output save run exp experiment name")

_ANYWHERE = _words("seed rng uuid timestamp")
_AT_END = _words(
    "trial replicate repeat repetition fold uid date created updated started ended wall pid port state status reason gpus devices cores cpus "
    "workers nodes memory commit sha hash"
)
_AT_START = _words("created updated started ended elapsed timestamp")
_TIMES = _words("time times runtime duration seconds secs minutes hours")
_OF_IDS = _words(
    "id ids run job trial exp experiment user process worker host slurm array task sweep group entity artifact parent project session"
)
_TEXT_AT_END = _words(
    "path paths dir directory folder file files log logs url uri host hostname node user email author agent checkpoint ckpt"
)
_SOFTWARE = _words("python wandb torch jax cuda cli code driver os")

_LABELS = _words("name names notes note comment comments tag tags group sweep job project experiment type")
_OF_LABELS = _words("run exp experiment display job user project source sweep")

_OF_RATES = _words("optimizer optimiser optim opt peak max base init initial train training model finetune parent")
_PARAMETERS = _words("param params parameter parameters")
_EXAMPLES = _words("token tokens example examples sample samples images")
_OF_COUNTS = _words(
    "n num number of model total count trainable non embedding nonembedding active m b millions billions train training data seen consumed"
)


def words_of(name: str) -> list[str]:
    """Split a name into lower-case words, without the tracker's prefix: `val/top1Error` → val, top, 1, error."""
    words = [word.lower() for word in _WORD.findall(name)]
    while len(words) > 1 and words[0] in _WHERE:
        words = words[1:]
    return words


def is_result(name: str, values: pd.Series) -> bool:
    """Say whether numbers are called as results are: `val_loss`, `top1 error`, `grad_norm`, `best_step`; or as progress itself, `epoch`."""
    words = {word for word in words_of(name) if not word.isdigit()}
    if not _is_number(values) or not words:
        return False
    return words <= _PROGRESS or bool(words & _RESULTS and words <= _RESULTS | _OF_RESULTS)


def is_bookkeeping(name: str, values: pd.Series) -> bool:
    """Say whether a column tells runs apart and is no setting: seeds, ids, times, hosts, paths, counts of devices, versions.

    A `model_id` is not bookkeeping, nor are hours that many runs have in common: those were stated, not measured.
    """
    words = words_of(name)
    if not words:
        return False
    named = [word for word in words if not word.isdigit()] or words
    return (
        bool(_ANYWHERE & set(words))
        or words == ["random", "state"]
        or named[-1] in _AT_END
        or (named[-1] in ("id", "ids") and set(named) <= _OF_IDS)
        or (named[-1] in _TIMES and not _is_nominal(values))
        or named[0] in _AT_START
        or (named[-1] in _TEXT_AT_END and not _is_number(values))
        or (named[-1] == "version" and bool(_SOFTWARE & {word.lower() for word in _WORD.findall(name)}))
    )


def is_label(name: str) -> bool:
    """Say whether a name is of what people call a run or file it under. Such a label may go with a setting, and need not."""
    words = words_of(name)
    return bool(words) and words != ["type"] and words[-1] in _LABELS and set(words) <= _LABELS | _OF_LABELS


def is_learning_rate(name: str) -> bool:
    """Say whether a name is the learning rate's: `learning_rate`, `lr`, `peak_lr`, `optimizer.lr`, `LR`; not `min_lr` or `lr_schedule`."""
    words = [word for word in words_of(name) if word not in _OF_RATES]
    return words in (["lr"], ["learning", "rate"])


def is_size(name: str, values: pd.Series) -> bool:
    """Say whether a column counts parameters: `num_params`, `model.n_params`, `non_embedding_parameters`."""
    words = set(words_of(name))
    return _is_number(values) and bool(words & _PARAMETERS) and words <= _PARAMETERS | _OF_COUNTS


def is_data(name: str, values: pd.Series) -> bool:
    """Say whether a column counts what was trained on: `tokens`, `data.tokens`, `num_train_examples`."""
    words = words_of(name)
    return _is_number(values) and bool(words) and words[-1] in _EXAMPLES and set(words) <= _EXAMPLES | _OF_COUNTS


def is_counter(name: str) -> bool:
    """Say whether a name counts steps or epochs: `steps`, `it`, `num_batches`, `train/epochs`; not `steps_per_second` or `eval_iters`."""
    words = words_of(name)
    return bool(_COUNTERS & set(words)) and set(words) <= _COUNTERS | _OF_COUNTERS


def is_compute(name: str) -> bool:
    """Say whether a name is of what a run has cost so far: `train_flops`, `core_hours`, `gpu hours`, `wall_time_seconds`, `_runtime`.

    `flops_per_token` and `tokens_per_second` are not.
    """
    words = words_of(name)
    return bool(_COMPUTE & set(words)) and "per" not in words


def names_files(name: str, values: pd.Series) -> bool:
    """Say whether a text column says where the rows of a run were logged: `filename`, `log_path`, `run_dir`; not `data_path`."""
    words = set(words_of(name))
    return not _is_number(values) and bool(words & (_FILES - _words("run exp experiment name"))) and words <= _FILES


def columns_of_runs(names: Iterable[object]) -> list[str]:
    """Return the columns that may name a run, the surest first: `run_id`, `RunID`, `Run Name`, `trial`.

    `name`, which may be a model's, is last.
    """
    found = {" ".join(words_of(str(name))): str(name) for name in reversed(list(names))}
    return [found[key] for key in _RUN_NAMES if key in found]


def columns_of_progress(names: Iterable[object]) -> list[str]:
    """Return the columns that say how far a run was trained: `step`, `_step`, `Step`, `epoch`, `tokens`.

    `epochs` and `steps` are budgets.
    """
    found = {" ".join(words_of(str(name))): str(name) for name in reversed(list(names))}
    return [found[key] for key in _PROGRESS_NAMES if key in found]


def _is_nominal(values: pd.Series) -> bool:
    """Say whether a column holds numbers, with at most half as many values as rows."""
    return _is_number(values) and bool(values.nunique() <= len(values) / 2)


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
