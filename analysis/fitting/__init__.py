"""Estimators: how the coefficients of a law are found and how sure one can be of them.

| file | what it holds |
|---|---|
| `fit` | `fit`: table of runs → `Fit` |
| `result` | `Fit`: what a fit says |
| `estimate` | what an estimator takes and returns |
| `log_least_squares` | straight line on log–log axes, cluster-robust intervals |
| `floor` | power law with floor on log residuals, intervals by bootstrap |
| `variable_projection` | its point estimates, many weightings at once |
| `bootstrap`, `score_bootstrap` | random weights over cells, and draws for tables too large to refit |
| `shared_parabola`, `ratio` | where the minima of many parabolas lie, and the interval of a ratio |
"""
