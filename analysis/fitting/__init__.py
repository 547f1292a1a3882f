"""Estimators: how the coefficients of a law are found and how sure one can be of them.

| file | what it holds |
|---|---|
| `fit`, `fit_all` | `fit`: table of runs → `Fit`; several laws at once |
| `lights` | two lights of a fit: identified, forecasts well |
| `result` | `Fit`: what a fit says |
| `estimate`, `law_estimate` | what an estimator takes and returns; the estimate of one law |
| `estimator` | from sample to estimate: optimum, covariance, intervals, status |
| `point`, `basin`, `polish` | optima of any law by any objective, many weightings at once |
| `objective` | log, huber-log, relative, mse, and the lower envelope |
| `log_least_squares` | straight line on log–log axes, by weighted least squares |
| `tangent`, `profile` | covariances over cells; intervals of coefficients |
| `discrepancy` | lack of fit, from residuals that hang together |
| `bootstrap` | pairs and wild bootstrap over cells |
| `status` | what the data allow to say, and of which coefficient |
| `shared_parabola`, `ratio` | where the minima of many parabolas lie, and the interval of a ratio |
"""
