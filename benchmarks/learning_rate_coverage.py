"""How often the intervals of the learning-rate trend hold the truth, when cells scatter about the law and when they do not.

    python benchmarks/learning_rate_coverage.py [--draws 1500]

Sweeps of 2 models × 4 budgets × 4 rates, one seed, with planted exponents; the coverage of s and u at nominal 95 %, with the runs of a cell erring
together, as `scaling lr` has it, and with all runs taken as independent.
"""

from __future__ import annotations

import argparse

import numpy as np

from analysis.fitting import shared_parabola as fitting
from analysis.fitting.estimate import Precision
from analysis.learning_rate.law import TERMS, RateLaw

LAW = RateLaw((("nfnet",),), TERMS, 2e6)
EXPONENTS = {"s": 0.25, "t": 0.1, "u": 0.06}
CELLS = [(params, epochs) for params in (1e6, 4e6) for epochs in (1.0, 2.0, 4.0, 8.0)]


def coverage(draws: int, *, scatter: float, curvature_spread: float, noise: float = 0.02) -> dict[str, float]:
    rows = np.array([LAW.row(("nfnet",), epochs, params) for params, epochs in CELLS])
    truth = rows @ np.array([0.0, *EXPONENTS.values()])
    held = dict.fromkeys(EXPONENTS, 0)
    rng = np.random.default_rng(0)
    for _ in range(draws):
        best = truth + scatter * rng.standard_normal(len(CELLS))
        curvature = 0.1 * np.exp(curvature_spread * rng.standard_normal(len(CELLS)))
        u = (np.round(best / np.log(2))[:, None] + np.arange(-1.5, 2.0)) * np.log(2)
        y = curvature[:, None] * (u - best[:, None]) ** 2 + noise * rng.standard_normal(u.shape)
        curves = fitting.Curves(u.ravel(), y.ravel(), np.repeat(np.arange(len(CELLS)), 4))
        found = fitting.shared_parabola(curves, rows, precision=Precision())
        for name, true in EXPONENTS.items():
            _, low, high = found.minimum_at(LAW.term_row(name))
            held[name] += low <= true <= high
    return {name: count / draws for name, count in held.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1500)
    draws = parser.parse_args().draws
    for label, scatter, spread in (
        ("cells on the law", 0.0, 0.0),
        ("scatter 0.2", 0.2, 0.0),
        ("curvatures differ by 0.4", 0.0, 0.4),
    ):
        for errors, least in (("by cell", 8), ("independent", 1000)):
            fitting.LEAST_CLUSTERS = least
            held = coverage(draws, scatter=scatter, curvature_spread=spread)
            print(f"{label:26} errors {errors:12} " + "  ".join(f"{name} {share:.3f}" for name, share in held.items()), flush=True)


if __name__ == "__main__":
    main()
