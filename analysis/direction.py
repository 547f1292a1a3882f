"""Which metrics are better when higher: they are refused, since every answer of the analysis takes lower as better.

A name that says so (`val_acc`, `macro F1`, `BLEU-4`) is refused by `require_lower_is_better`; `<name>_error` stands for 1 − `<name>`,
see `with_error`. Where the name says nothing, the numbers may: `rises` tests whether the metric rises with compute.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from scaling.errors import DataError, UsageError

__all__ = ["better_when_higher", "cure", "refuse_rising", "require_lower_is_better", "rises", "rising_note", "with_error"]

_ERROR = "_error"

_LOWER_WORDS = """
    brier bpb bpc bits ce cer cost cross crossentropy crps deviance deviation distance divergence drop ece eer energy entropy err error failure fid
    fpr gap inverse kid kl loss lpips mae mape minus miss mse neg negative nll penalty perplexity ppl regret residual rmse rmsle smape std stderr
    stdev ter time uncertainty var variance wer xent
"""
_HIGHER_WORDS = """
    acc accuracy ap auc auprc auroc bertscore bleu chrf cider correct correlation dice elbo elo exactmatch f1 f2 fbeta fscore hit iou jaccard kappa
    likelihood map mcc meteor miou mrr ndcg pearson pesq precision prc psnr r2 recall return rew reward roc rouge rsquared sacrebleu score sensitivity
    spearman spearmanr specificity spice ssim stoi success top winrate
"""
_HIGHER_PAIRS = "exact match,f 1,f beta,f score,pass 1,pass at,r 2,r squared,top 1,top 5,top k,win rate"

_LOWER = frozenset(_LOWER_WORDS.split())
"""Words of a name that say that lower is better, whatever else it names: `acc_error`, `reward_model_loss`, `brier_score`."""

_HIGHER = frozenset(_HIGHER_WORDS.split())
"""Words, without plural and digits, that name what is better when higher; `_PAIRS` are two words that do."""

_PAIRS = frozenset(tuple(pair.split()) for pair in _HIGHER_PAIRS.split(","))
_SPLITS = re.compile(r"^(?:val|valid|validation|test|eval|dev|train)(?=[a-z])")
_P_RISES = 0.05
_FEW = 1000
"""All pairs of cells are compared at once where there are no more than these."""


def better_when_higher(name: str) -> bool:
    """Say whether the name of a column means that higher is better. `1 - acc`, `acc_error` and `reward_loss` do not.

    >>> better_when_higher("eval/top-1 accuracy"), better_when_higher("test_f1"), better_when_higher("val_acc_error")
    (True, True, False)
    """
    text = unicodedata.normalize("NFKC", name).strip()
    if re.match(r"(?:1(?:\.0*)?|100)\s*[-−–]|[-−–]|one[\W_]*minus", text, re.IGNORECASE):
        return False
    words = [_bare(word) for word in re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()) if word]
    words += re.split(r"[\W_]+", text.lower())  # mAP, too, in one piece
    if _LOWER & {stem for word in words for stem in _stems(word)}:
        return False
    stems = {stem for word in words for stem in _stems(word)}
    return bool(_HIGHER & stems) or any(pair in _PAIRS for pair in pairwise(words))


def _bare(word: str) -> str:
    """Remove the name of a split, where what is left says something: `valacc` → `acc`."""
    rest = _SPLITS.sub("", word)
    return rest if (_HIGHER | _LOWER) & _stems(rest) else word


def _stems(word: str) -> set[str]:
    """Return a word with and without its plural and its digits: `scores` → `score`, `acc1` → `acc`, `rougeL` → `rouge`."""
    plain = word.rstrip("0123456789") or word
    stems = {word, plain, word.removesuffix("s"), plain.removesuffix("s")}
    if word == "accuracies":
        stems.add("accuracy")
    if re.fullmatch(r"rouge(\d|l|lsum|w|s|su)+|map\d+|top\d+", word):
        stems.add(re.sub(r"(\d+|l|lsum|w|su?)+$", "", word))
    return stems - ({"top"} if word == "top" else set())


def require_lower_is_better(name: str, table: pd.DataFrame, option: str = "--metric") -> None:
    """Raise `UsageError` for a column of the table whose name says that higher is better, with what to ask for in its place."""
    if name in table and better_when_higher(name):
        raise UsageError(f"{name} is better when higher; the laws are of what falls", hint=cure(name, table, option))


def cure(name: str, table: pd.DataFrame, option: str = "--metric") -> str:
    """Say what to ask for in place of a column that is better when higher: an error, where the column is a share or per cent."""
    error = f"{option} {shlex.quote(f'{name}{_ERROR}')}"
    numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(float) if name in table else np.array([])
    numbers = numbers[np.isfinite(numbers)]
    if name in ("val_top1", "val_top5"):
        return f"use {error}"
    if _falls(name):
        return f"give it a name of its own, and ask for its error: --map score=THEIRS {option} score_error"
    if not len(numbers) or (numbers.min() >= 0 and numbers.max() <= 1):
        return f"use {error}, which is 1 − {name}"
    renamed = f"if lower is better here, call it a loss: --map loss={shlex.quote(name)} {option} loss"
    if numbers.min() >= 0 and numbers.max() <= 100:
        return f"of per cent use --unit {shlex.quote(f'{name}=%')} {error}, which is 1 − {name}; {renamed}"
    return f"choose a column that falls: {option} COLUMN; {renamed}"


def with_error(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Add the column `<share>_error` = 1 − `<share>`, where that is what `name` asks for and the table has only the share.

    Raises `DataError` where a number is outside 0 … 1. Text becomes NaN.
    """
    share = name.removesuffix(_ERROR)
    if name in table or share == name or share not in table or (share != "" and _falls(share)):
        return table
    numbers = pd.to_numeric(table[share], errors="coerce").astype(float)
    beyond = ((numbers < 0) | (numbers > 1)).to_numpy()
    if beyond.any():
        row = int(beyond.argmax())
        raise DataError(
            f"{name} is 1 − {share}, but row {row + 1} of {share} holds {numbers.iloc[row]:g}, which is no share 0 … 1",
            hint=f"per cent? --unit {shlex.quote(f'{share}=%')}",
        )
    return table.assign(**{name: 1.0 - numbers})


def _falls(name: str) -> bool:
    """Say whether the name means that lower is better, so that 1 − it has no meaning: `val_loss_error`."""
    return bool(_LOWER & {stem for word in re.split(r"[\W_]+", name.lower()) for stem in _stems(word)})


def rises(compute: np.ndarray, metric: np.ndarray, p_value: float = _P_RISES) -> bool:
    """Say whether the metric rises with compute beyond chance: Kendall's τ above zero, one-sided. False for fewer than four cells."""
    if len(compute) < 4 or np.ptp(compute) == 0 or np.ptp(metric) == 0:
        return False
    if len(compute) <= _FEW and np.sum(_orders(compute) * _orders(metric)) <= 0:
        return False  # τ ≤ 0
    from scipy import stats  # takes a third of a second to import, and most metrics fall

    return bool(stats.kendalltau(compute, metric, alternative="greater").pvalue < p_value)


def _orders(values: np.ndarray) -> np.ndarray:
    """Compare each pair of values, (n, n): 1 where the first is larger, 0 where they are equal, −1 where it is smaller."""
    return np.sign(values[:, None] - values)


def refuse_rising(metric: str, x: str, sides: Sequence[tuple[np.ndarray, np.ndarray]], table: pd.DataFrame) -> None:
    """Raise `DataError` where the metric rises with compute on every side: then the one that is called better would be the worse one."""
    if all(rises(*side) for side in sides):
        raise DataError(
            f"{metric} rises with {x} on both sides, as what is better when higher does: the lower side is not called the better one",
            hint=f"if higher is better: {cure(metric, table)}; if not, choose the runs where {metric} falls: --where COLUMN=VALUE",
        )


def rising_note(metric: str, x: str, cells: pd.DataFrame) -> tuple[str, ...]:
    """Return a note where the metric rises with compute over all cells, else an empty tuple.

    Where it rises, only the cheapest cells are called compute-optimal.
    """
    if not rises(cells[x].to_numpy(float), cells[metric].to_numpy(float), _P_RISES / 5):
        return ()
    return (
        f"{metric} rises with {x} over these {len(cells)} cells, and lower is taken as better: if higher is better, this is the wrong frontier; "
        f"{cure(metric, cells)}",
    )
