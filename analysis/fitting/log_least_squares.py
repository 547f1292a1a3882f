"""The power law by least squares on log–log axes."""

from __future__ import annotations

import numpy as np

from analysis.fitting.estimate import Sample

__all__ = ["log_least_squares"]


def log_least_squares(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Fit `log y = log A − a·log x` by least squares, each run counted by its weight.

    Returns: theta = (log A, a), and its covariance (2, 2) for independent residuals of one variance, n − 2 degrees of freedom.
    """
    log_x = np.log(sample.inputs[0])
    centre = float(log_x.mean())
    # Centred, the two columns are orthogonal: log x of 1e18 FLOPs would otherwise be nearly collinear with the constant.
    design = np.column_stack([np.ones(sample.runs), centre - log_x])
    root = np.sqrt(sample.weights)
    inverse = np.linalg.pinv(root[:, None] * design)  # (2, n)
    theta = inverse @ (root * np.log(sample.y))
    residual = root * (np.log(sample.y) - design @ theta)
    covariance = float(residual @ residual) / (sample.runs - 2) * (inverse @ inverse.T)
    to_origin = np.array([[1.0, centre], [0.0, 1.0]])  # log A = intercept + a·centre
    return to_origin @ theta, to_origin @ covariance @ to_origin.T
