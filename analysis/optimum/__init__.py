"""What to train with a given compute: the best model size and epoch budget, by three approaches side by side.

| file | what it holds |
|---|---|
| `allocate` | `compute_optimal(runs) -> Optimum`: all of it |
| `result` | `Optimum` |
| `cells`, `cost`, `noise` | the cells of one family; what they cost, smoothed; how far they scatter, and resampled losses |
| `path` | best size and epochs along compute, their exponents, where one epoch is crossed |
| `envelope`, `isocompute`, `surface` | one approach each (Hoffmann et al. 2022, arXiv 2203.15556, sec. 3) |
| `budgets`, `equal_compute`, `local_fit` | behind `isocompute`: cells of one budget, slices, their curves |
| `valley`, `best_line`, `best_path` | the minima of all slices at once: the solver, a line through them, a path that may bend |
| `choice`, `agreement` | which approach makes the headline, and where approaches disagree |
| `slices` | the slices as a table |
| `runnable` | the nearest models and epoch budgets that exist |
| `band` | the bootstrap band of the frontier itself |
"""
