"""How others call the end of a run, as our statuses: Weights & Biases, MLflow, Slurm."""

from __future__ import annotations

import pandas as pd

from scaling.outcomes import RunStatus

__all__ = ["our_statuses"]

_OURS = {
    RunStatus.FINISHED: ("finished", "completed", "complete", "done", "success", "succeeded", "ok"),
    RunStatus.FAILED: (
        "failed",
        "failure",
        "error",
        "crashed",
        "timeout",
        "out_of_memory",
        "node_fail",
        "boot_fail",
        "deadline",
        "4",
    ),
    RunStatus.STOPPED: ("stopped", "killed", "early_stopped", "pruned"),
    RunStatus.DIVERGED: ("diverged", "nan", "inf"),
    RunStatus.CANCELLED: ("cancelled", "canceled", "revoked"),
    RunStatus.RUNNING: ("running",),
    RunStatus.PENDING: ("pending", "scheduled", "queued", "preempting", "preempted", "requeued", "waiting"),
    RunStatus.PAUSED: ("paused", "suspended"),
}
"""Ours → theirs, in small letters."""

_TO_OURS = {theirs: ours for ours, names in _OURS.items() for theirs in names}


def our_statuses(runs: pd.DataFrame) -> pd.DataFrame:
    """`status` in our words, and theirs kept in `reason` where it says more. A word that nobody knows stays as it is: such a run
    is left out of every fit, with that word as the reason. An empty field counts as finished, as a table without the column does.
    """
    if "status" not in runs:
        return runs
    words = runs["status"].astype(object)
    theirs = words.map(lambda word: str(word).strip().lower() if isinstance(word, str) or pd.notna(word) else "finished")
    ours = theirs.map(lambda word: str(_TO_OURS.get(word, word)))
    reason = runs["reason"].fillna("").astype(str) if "reason" in runs else pd.Series("", index=runs.index, dtype=object)
    told = (ours != theirs) & (ours != RunStatus.FINISHED) & (reason == "")
    if told.any() or "reason" in runs:
        runs = runs.assign(reason=reason.mask(told, theirs))
    return runs.assign(status=ours)
