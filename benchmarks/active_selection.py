"""The active selection of Li et al. 2026 (arXiv 2604.22753), written from the paper, as a rival of `scaling plan`.

    python benchmarks/active_selection.py reproduce [--repeats 3]   # one task of its Table 2, the panel `parallel` of its Figure 2

One law is taken to be right. Its fits from 64 starts are put together to basins by what they predict at the target (symmetric KL divergence,
agglomerative clustering, the cut of the best silhouette), weighed by BIC. A candidate's score is the expected fall of the mean square
prediction error at the target, within basins and between them, over cost^0.4. The best affordable candidate is run, and all is done again.

What the paper leaves open is as its authors' published code has it: complete linkage of log(1 + d), fits within twice the least error, priors
of a quarter of each bound's range, and noise σ² by an inverse gamma prior of shape 2 and scale 2·var(y).

The task that is repeated is `parallel`: losses of 48 models of arXiv 2505.10475 with P parallel streams, for two data sets. Trained are those of
1, 2 and 4 streams, forecast those of 8; ten laws; a budget of 5 and 10 % of what all would cost, cost being the parameters.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import minimize
from scipy.spatial.distance import squareform

STARTS, COST_EXPONENT, QUADRATURE, WARM_START = 64, 0.4, 200, 2.5
_LIKELY = 1e-3
_STEP = 1e-6


@dataclass(frozen=True, eq=False)
class LawToSelectBy:
    """A law `curve(theta, x)`, theta (p,), x (k, n), and the bounds of theta, (p, 2); those that are positive count by their logarithm.

    slopes: its derivatives by theta, (n, p), where they are known in closed form; else differences are taken.
    """

    curve: Callable[[np.ndarray, np.ndarray], np.ndarray]
    bounds: Sequence[tuple[float, float]]
    slopes: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None

    @cached_property
    def ends(self) -> np.ndarray:
        """Return the bounds as they are searched, (2, p)."""
        ends = np.array(self.bounds, dtype=float).T
        return np.where(self.in_logs, np.log(np.where(self.in_logs, ends, 1.0)), ends)

    @cached_property
    def in_logs(self) -> np.ndarray:
        return np.array([low > 0 for low, _ in self.bounds])

    def at(self, free: np.ndarray, x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.nan_to_num(self.curve(np.where(self.in_logs, np.exp(free), free), x), nan=1e6, posinf=1e6, neginf=-1e6)

    def jacobian(self, free: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return derivatives by what is searched, (n, p)."""
        if self.slopes is not None:
            theta = np.where(self.in_logs, np.exp(free), free)
            return self.slopes(theta, x) * np.where(self.in_logs, theta, 1.0)
        steps = _STEP * np.maximum(1.0, np.abs(free))
        columns = [
            (self.at(free + step, x) - self.at(free - step, x)) / (2 * size)
            for step, size in zip(np.diag(steps), steps, strict=True)
        ]
        return np.stack(columns, axis=1)


def fits(
    law: LawToSelectBy, x: np.ndarray, y: np.ndarray, rng: np.random.Generator, known: Sequence[np.ndarray] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Fit by L-BFGS-B from 64 starts, some of them at fits of before; thetas (64, p) and mean square errors."""
    low, high = law.ends
    starts = [*list(known)[-STARTS // 2 :]]
    starts += list(rng.uniform(low, high, size=(STARTS - len(starts), len(low))))

    def error(free: np.ndarray) -> tuple[float, np.ndarray]:
        off = law.at(free, x) - y
        return float(off @ off / len(y)), 2 / len(y) * law.jacobian(free, x).T @ off

    found = [
        minimize(
            error, start, jac=True, method="L-BFGS-B", bounds=np.stack([low, high], axis=1), options={"maxiter": 200, "ftol": 1e-13}
        )
        for start in starts
    ]
    return np.array([each.x for each in found]), np.array([each.fun for each in found])


@dataclass(frozen=True)
class Basins:
    """Holds K basins: thetas (K, p), covariances (K, p, p), weights (K,), and the noise variance."""

    theta: np.ndarray
    covariance: np.ndarray
    weight: np.ndarray
    noise: float


def basins(law: LawToSelectBy, thetas: np.ndarray, errors: np.ndarray, x: np.ndarray, y: np.ndarray, target: np.ndarray) -> Basins:
    near = errors <= 2 * errors.min() + 1e-30
    thetas, errors = thetas[near], np.maximum(errors[near], 1e-300)
    noise = float((2 * np.var(y) + len(y) * errors.min() / 2) / (1 + len(y) / 2))
    low, high = law.ends
    prior = np.diag((4 / (high - low)) ** 2)
    covariance = np.stack([_inverse(each.T @ each / noise + prior) for each in (law.jacobian(theta, x) for theta in thetas)])
    means = np.stack([law.at(theta, target) for theta in thetas])
    rows = [law.jacobian(theta, target) for theta in thetas]
    variances = np.stack([np.einsum("np,pq,nq->n", row, own, row) for row, own in zip(rows, covariance, strict=True)]) + noise
    group = _clusters(means, variances)
    chosen = np.array([min(np.flatnonzero(group == number), key=lambda place: errors[place]) for number in np.unique(group)])
    log_weight = -0.5 * len(y) * np.log(errors[chosen])
    weight = np.exp(log_weight - log_weight.max())
    chosen, weight = chosen[weight > _LIKELY * weight.sum()], weight[weight > _LIKELY * weight.sum()]
    return Basins(thetas[chosen], covariance[chosen], weight / weight.sum(), noise)


def _inverse(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors / np.maximum(values, 1e-10 * values[-1])) @ vectors.T)


def _clusters(means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Number the basin of each fit, (m,)."""
    if len(means) < 3:
        return np.arange(len(means))
    ratio = variances[:, None] / variances
    apart = (means[:, None] - means) ** 2 * (1 / variances[:, None] + 1 / variances)
    distance = np.log1p(np.maximum(0.25 * (ratio + 1 / ratio - 2 + apart).mean(-1), 0.0))
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform((distance + distance.T) / 2, checks=False), method="complete")
    best, found = 0.01, np.zeros(len(means), dtype=int)
    for height in np.unique(tree[:, 2]):
        group = fcluster(tree, height + 1e-10, criterion="distance")
        if 2 <= len(np.unique(group)) < len(means) and (score := _silhouette(distance, group)) > best:
            best, found = score, group
    return found


def _silhouette(distance: np.ndarray, group: np.ndarray) -> float:
    same = group[:, None] == np.unique(group)
    total, count = distance @ same, same.sum(0)
    own = np.argmax(same, axis=1)
    rows = np.arange(len(group))
    within = total[rows, own] / np.maximum(count[own] - 1, 1)
    other = np.where(same, np.inf, total / count).min(1)
    return float(np.mean(np.where(count[own] > 1, (other - within) / np.maximum(np.maximum(within, other), 1e-300), 0.0)))


def scores(law: LawToSelectBy, found: Basins, candidates: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the expected fall of the mean square prediction error at the target by observing each candidate, (m,)."""
    means, at_target = (np.stack([law.at(theta, where) for theta in found.theta]) for where in (candidates, target))
    rows, ahead = ([law.jacobian(theta, where) for theta in found.theta] for where in (candidates, target))
    each = list(zip(rows, ahead, found.covariance, strict=True))
    variance = found.noise + np.stack([np.einsum("mp,pq,mq->m", row, own, row) for row, _, own in each])  # (K, m)
    cross = np.stack([far @ own @ row.T for row, far, own in each])  # (K, targets, m)
    within = np.einsum("k,km->m", found.weight, (cross**2).sum(1) / variance)
    if len(found.weight) == 1:
        return within / target.shape[1]
    gain = cross / variance[:, None]
    std = np.sqrt(variance)
    y = np.linspace((means - 4 * std).min(0), (means + 4 * std).max(0), QUADRATURE)  # (q, m)
    density = np.exp(-0.5 * (y[:, None] - means) ** 2 / variance) / std / np.sqrt(2 * np.pi)  # (q, K, m)
    joint = found.weight[:, None] * density
    total = np.maximum(joint.sum(1), 1e-300)
    before = after = 0.0
    for k in range(len(found.weight)):
        for other in range(k):
            apart = (at_target[k] - at_target[other])[:, None]
            before += found.weight[k] * found.weight[other] * float(np.sum(apart**2))
            offset = apart - gain[k] * means[k] + gain[other] * means[other]
            slope = gain[k] - gain[other]
            square = (offset**2).sum(0) + 2 * (offset * slope).sum(0) * y + (slope**2).sum(0) * y**2
            after = after + np.trapezoid(joint[:, k] * joint[:, other] / total * square, y, axis=0)
    return (within + np.maximum(before - after, 0.0)) / target.shape[1]


def select(
    law: LawToSelectBy, x: np.ndarray, y: np.ndarray, candidates: np.ndarray, cost: np.ndarray, budget: float, target: np.ndarray,
    observe: Callable[[int], float], rng: np.random.Generator,
) -> tuple[list[int], np.ndarray]:  # fmt: skip
    """Run the candidates that the paper's method chooses, one after another, until none is affordable.

    x (k, n), y (n,): what there is. candidates: (k, m). target: (k, t). observe: runs a candidate.
    Returns: the indices in order, and theta of the best fit at the end.
    """
    chosen, known = list[int](), list[np.ndarray]()
    while True:
        thetas, errors = fits(law, x, y, rng, known)
        known.append(thetas[np.argmin(errors)])
        left = budget - cost[chosen].sum()
        able = np.array(
            [index for index in range(len(cost)) if index not in chosen and cost[index] <= left * (1 + 1e-12)], dtype=int
        )
        if not len(able):
            return chosen, known[-1]
        found = basins(law, thetas, errors, x, y, target)
        best = int(able[np.argmax(scores(law, found, candidates[:, able], target) / (cost[able] / cost.sum()) ** COST_EXPONENT)])
        chosen.append(best)
        x, y = np.hstack([x, candidates[:, [best]]]), np.append(y, observe(best))


# --- The task `parallel` -------------------------------------------------------------------------------------------------------------

STREAMS = (1, 2, 4, 8)
PARAMETERS = (
    (535813376, 693753856, 1088376320, 1571472384, 2774773760, 4353203200),
    (538195842, 696738818, 1092762882, 1577522690, 2784937986, 4368529922),
    (540577412, 699722756, 1097148164, 1583571460, 2795100164, 4383854084),
    (545340552, 705690632, 1105918728, 1595669000, 2815424520, 4414502408),
)
LOSSES = {
    "stack": (
        (1.1722, 1.1496, 1.1131, 1.0817, 1.0451, 1.0213), (1.1507, 1.1262, 1.0940, 1.0623, 1.0244, 1.0025),
        (1.1354, 1.1124, 1.0808, 1.0490, 1.0126, 0.9906), (1.1231, 1.0997, 1.0688, 1.0383, 1.0016, 0.9794),
    ),
    "pile": (
        (2.1113, 2.0671, 2.0027, 1.9539, 1.8876, 1.8451), (2.0772, 2.0363, 1.9730, 1.9266, 1.8610, 1.8137),
        (2.0544, 2.0128, 1.9509, 1.9040, 1.8394, 1.7938), (2.0364, 1.9933, 1.9318, 1.8856, 1.8218, 1.7772),
    ),
}  # fmt: skip
"""Losses of the models, in the order of PARAMETERS: published with arXiv 2505.10475 in the script that fits its law."""

_ANY, _SCALE, _EXPONENT = (-5.0, 5.0), (0.0, 500.0), (0.0, 2.0)
LAWS = [
    LawToSelectBy(lambda t, x: t[0] + t[1] * x[0] ** -t[2] + t[3] * x[1] ** -t[4] + t[5] * x[0] ** -t[2] * x[1] ** -t[4],
                  [_ANY, _SCALE, _EXPONENT, (-50, 50), _EXPONENT, (-100, 100)]),
    LawToSelectBy(lambda t, x: t[0] + t[1] * x[0] ** -t[2] + t[3] * x[1] ** -t[4], [_ANY, _SCALE, _EXPONENT, (-50, 50), _EXPONENT]),
    LawToSelectBy(lambda t, x: t[0] * x[0] ** t[1] + t[2] / (1 + x[1]) + t[3], [_SCALE, (-2, 0), _ANY, _ANY]),
    LawToSelectBy(lambda t, x: t[0] * x[0] ** t[1] + t[2] * x[1] ** -0.5 + t[3], [_SCALE, (-2, 0), _ANY, _ANY]),
    LawToSelectBy(lambda t, x: (t[0] / np.maximum(x[0] * (t[1] * np.log(x[1]) + 1), 1e-12)) ** t[2] + t[3],
                  [(0, 1e9), (-100, 100), (0, 3), _ANY]),
    LawToSelectBy(lambda t, x: t[0] + t[1] * (x[0] ** -t[2] + x[1] ** -t[3]), [(-200, 200), (-200, 200), _EXPONENT, _EXPONENT]),
    LawToSelectBy(lambda t, x: t[0] + t[1] * x[0] ** -t[2] / np.maximum(1 + t[3] * np.log(x[1]), 1e-12), [_ANY, _SCALE, _EXPONENT, (-50, 50)]),
    LawToSelectBy(lambda t, x: (t[0] * x[0] ** t[1] + t[2]) / np.maximum(1 + t[3] * np.log(x[1]), 1e-12), [_SCALE, (-2, 0), _ANY, (-10, 10)]),
    LawToSelectBy(lambda t, x: t[0] * x[0] ** -t[1] * x[1] ** -t[2], [(0, 5000), _EXPONENT, _EXPONENT]),
    LawToSelectBy(lambda t, x: (t[0] * x[0] ** -t[1] + t[2]) * x[1] ** -t[3], [_SCALE, _EXPONENT, _ANY, _EXPONENT]),
]  # fmt: skip
"""The ten laws of the task, in the order of the paper's Table 4, with the bounds of its authors' code."""

PUBLISHED = {
    "cheapest": ("0.42 ± 0.03", "0.42 ± 0.03"),
    "random": ("0.27 ± 0.02", "0.19 ± 0.01"),
    "active": ("0.77 ± 0.39", "0.99 ± 0.00"),
}


def _task(name: str) -> tuple[np.ndarray, np.ndarray]:
    size, streams = np.array(PARAMETERS, dtype=float), np.repeat(np.array(STREAMS, dtype=float)[:, None], 6, axis=1)
    return np.stack([size.ravel(), streams.ravel()]), np.array(LOSSES[name]).ravel()


def _forecast(law: LawToSelectBy, name: str, way: str, part: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x, y = _task(name)
    trained = x[1] < STREAMS[-1]
    seen, loss, target = x[:, trained], y[trained], x[:, ~trained]
    cost = seen[0]
    budget, count = part * cost.sum(), int(WARM_START * len(law.bounds))
    order = rng.permutation(len(cost)) if way == "random" else np.argsort(cost, kind="stable")
    first: list[int] = []
    for index in order[: None if way != "active" else count]:
        limit = min(budget, 0.02 * cost.sum()) if way == "active" and first else budget
        if cost[first].sum() + cost[index] <= limit:
            first.append(int(index))
    rest = np.setdiff1d(np.arange(len(cost)), first)
    left = budget - cost[first].sum() if way == "active" else 0.0
    _, theta = select(
        law, seen[:, first], loss[first], seen[:, rest], cost[rest], left, target, lambda place: float(loss[rest[place]]), rng
    )
    return law.at(theta, target), y[~trained]


def reproduce(repeats: int) -> None:
    print(f"{'way':9} {'budget':>6}  R², ten laws × {repeats} repeats    published (× 10 repeats)")
    for way, known in PUBLISHED.items():
        for part, said in zip((0.05, 0.10), known, strict=True):
            found = []
            for number, law in enumerate(LAWS):
                for repeat in range(repeats):
                    both = [
                        _forecast(law, name, way, part, np.random.default_rng([number, repeat, place]))
                        for place, name in enumerate(LOSSES)
                    ]
                    said_of, true = (np.concatenate(each) for each in zip(*both, strict=True))
                    found.append(float(np.clip(1 - np.sum((true - said_of) ** 2) / np.sum((true - true.mean()) ** 2), -1, 1)))
            print(f"{way:9} {part:6.0%}  {np.mean(found):.2f} ± {np.std(found):.2f}  {'':20} {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["reproduce"])
    parser.add_argument("--repeats", type=int, default=3)
    reproduce(parser.parse_args().repeats)


if __name__ == "__main__":
    main()
