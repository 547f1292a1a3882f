"""Others' words for the end of a run, as our statuses.

They are those of Weights & Biases, MLflow, Slurm, Optuna, Ray Tune, ClearML, Kubernetes and the clouds.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from analysis.reading.typed import is_missing_word
from scaling.errors import UnknownName, UsageError
from scaling.outcomes import RunStatus

__all__ = ["named_status", "our_statuses"]

_OURS = {
    RunStatus.FINISHED: ("finished", "completed", "complete", "done", "success", "succeeded", "ok", "terminated", "published"),
    RunStatus.FAILED: (
        "failed",
        "fail",
        "failure",
        "error",
        "crashed",
        "timeout",
        "out_of_memory",
        "oom",
        "oomkilled",
        "evicted",
        "node_fail",
        "boot_fail",
        "deadline",
        "4",
    ),
    RunStatus.STOPPED: ("stopped", "stopping", "killed", "early_stopped", "pruned", "aborted"),
    RunStatus.DIVERGED: ("diverged", "nan", "inf"),
    RunStatus.CANCELLED: ("cancelled", "canceled", "revoked"),
    RunStatus.RUNNING: ("running", "inprogress", "in_progress", "in progress", "active", "completing"),
    RunStatus.PENDING: ("pending", "created", "preparing", "scheduled", "queued", "preempting", "preempted", "requeued", "waiting"),
    RunStatus.PAUSED: ("paused", "suspended"),
}
"""Ours → theirs, in small letters."""

_TO_OURS = {theirs: ours for ours, names in _OURS.items() for theirs in names}

_PREFIX = "job_state_"
_CUT = "+"
"""Slurm ends a word with it where the column has no room for more: `OUT_OF_ME+`, `CANCELLED+`."""

_KNOWN_SHARE = 0.5

_NAMES = ("status", "state", "run status", "run state", "run_status", "run_state")


def named_status(table: pd.DataFrame) -> str | None:
    """Find the column that says how runs ended, under another name than ours: `Status` of MLflow's page, `State` of Slurm.

    Only a column counts in which the words of most rows are known, so that a `state` of something else is left alone.
    """
    if "status" in table:
        return None
    for name in (str(name) for name in table if str(name).strip().lower() in _NAMES):
        words = table[name].dropna().astype(str).str.strip().str.lower()
        if len(words) and words.map(lambda word: _ours(word) is not None).mean() > _KNOWN_SHARE:
            return name
    return None


def our_statuses(runs: pd.DataFrame, counted: Collection[str] = (), notes: list[str] | None = None) -> pd.DataFrame:
    """Translate `status` into our words, and keep theirs in `reason` where it says more.

    A word that nobody knows stays as it is: such a run is left out of every fit, with that word as the reason. An empty field counts as
    finished, as a table without the column does.

    counted: words, ours or theirs, whose runs count as finished, e.g. `failed` where the launcher's exit code says so of complete
    runs. notes: gets a sentence that says how many they are. Raises `UnknownName` for a word that no run has, and `UsageError` where there
    is no column `status`.
    """
    if "status" not in runs:
        if counted:
            raise UsageError("there is no column status, so every run counts as finished", hint="leave out --count-status")
        return runs
    words = runs["status"].astype(object)
    theirs = words.map(lambda word: "finished" if _is_nothing(word) else str(word).strip().lower())
    ours = theirs.map(lambda word: _ours(word) or word)
    reason = (
        runs["reason"].astype(object).fillna("").astype(str) if "reason" in runs else pd.Series("", index=runs.index, dtype=object)
    )
    told = (ours != theirs) & (ours != RunStatus.FINISHED) & (reason == "")
    for word in dict.fromkeys(word.strip().lower() for word in counted):
        rows = (theirs == word) | (ours == word)
        if not rows.any():
            known = sorted({*theirs, *ours})
            raise UnknownName("status", word, known, hint=f"--count-status takes one that runs have: {', '.join(known)}")
        told |= rows & (reason == "") & (word != RunStatus.FINISHED)
        ours = ours.mask(rows, str(RunStatus.FINISHED))
        if notes is not None:
            notes.append(f"{int(rows.sum())} runs whose status is {word} count as finished (--count-status {word})")
    if told.any() or "reason" in runs:
        runs = runs.assign(reason=reason.mask(told, theirs))
    return runs.assign(status=ours)


def _ours(word: str) -> str | None:
    word = word.removeprefix(_PREFIX)
    if word.startswith("cancelled by"):
        return str(RunStatus.CANCELLED)
    if word.endswith(_CUT):
        meant = {ours for theirs, ours in _TO_OURS.items() if theirs.startswith(word.removesuffix(_CUT))}
        return str(meant.pop()) if len(meant) == 1 else None
    return str(_TO_OURS[word]) if word in _TO_OURS else None


def _is_nothing(word: Any) -> bool:
    if not isinstance(word, str):
        return bool(pd.isna(word))
    return is_missing_word(word) and word.strip().lower() != "nan"  # of a status, NaN says how the run ended
