"""The power law by least squares on log–log axes."""

from __future__ import annotations

import numpy as np

from analysis.fitting.estimate import Sample

__all__ = ["log_least_squares"]


def log_least_squares(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of `log y = log A − a·log x` by statsmodels.

    Returns: theta = (log A, a), and its covariance (2, 2) for independent residuals of one variance, n − 2 degrees of freedom.
    """
    # Here and not above: statsmodels takes a second to import, and the names of the laws are asked for without fitting any.
    from statsmodels.regression.linear_model import WLS

    log_x = np.log(sample.inputs[0])
    centre = float(log_x.mean())
    # Centred, the two columns are orthogonal: log x of 1e18 FLOPs would otherwise be nearly collinear with the constant.
    design = np.column_stack([np.ones(sample.runs), centre - log_x])
    result = WLS(np.log(sample.y), design, weights=sample.weights).fit()
    to_origin = np.array([[1.0, centre], [0.0, 1.0]])  # log A = intercept + a·centre
    return to_origin @ np.asarray(result.params), to_origin @ np.asarray(result.cov_params()) @ to_origin.T
