"""Rows at equal compute that were averaged as seeds though they may be of different sizes: the isoFLOP design without its sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.distributions import f_below

__all__ = ["averaged_note"]

_TOO_SMOOTH = 1e-3
"""Level of the test that rows of one compute differ by more than their means do from a smooth curve."""
_DEGREE = 2


def averaged_note(runs: pd.DataFrame, *, metric: str, x: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return a note where rows were averaged that nothing but `x` puts together, and no seeds tell apart; else an empty tuple.

    Seeds count as such unless their losses differ by far more than those of seeds do. The mean of n seeds scatters √n times less than
    the seeds. Means that lie on a smooth curve much more closely than that are no means of seeds (an F test at `_TOO_SMOOTH`).

    runs: with a column `cell`. columns: what told cells apart.
    """
    sizes = runs.groupby("cell").size()
    several = runs[runs["cell"].isin(sizes.index[sizes > 1])]
    if several.empty or any(name in runs and runs[name].nunique() > 1 for name in columns if name != x):
        return ()
    what = f"{len(several)} rows at {several['cell'].nunique()} values of {x} were averaged, those of one value as seeds of one run"
    cure = "if they differ in size or another setting, name its column: --map params=THEIRS or --cell COLUMN"
    if "seed" not in runs or several["seed"].isna().any():
        return (f"{what}, since no column tells them apart; {cure}",)
    if _too_different(runs, metric, x):
        return (f"{what}, but they differ by far more than their means do from a smooth curve; {cure}",)
    return ()


def _too_different(runs: pd.DataFrame, metric: str, x: str) -> bool:
    logs = pd.DataFrame({"loss": np.log(runs[metric].to_numpy(float)), "u": np.log(runs[x].to_numpy(float))}, index=runs.index)
    loss = logs["loss"].groupby(runs["cell"])
    u = logs["u"].groupby(runs["cell"]).mean().to_numpy()
    mean, count = loss.mean().to_numpy(), loss.size().to_numpy()
    between, within = len(mean) - _DEGREE - 1, int(count.sum() - len(mean))
    if between < 1 or within < 1:
        return False
    weight = np.sqrt(count)
    powers = np.vander(u - u.mean(), _DEGREE + 1)
    left = weight * mean - (weight[:, None] * powers) @ np.linalg.lstsq(weight[:, None] * powers, weight * mean, rcond=None)[0]
    inside = float((loss.var(ddof=0).to_numpy() * count).sum()) / within
    return inside > 0 and f_below(float(left @ left) / between / inside, between, within) < _TOO_SMOOTH
