"""What to train with a given compute: the best model size and epoch budget, by three approaches side by side.

| file | what it holds |
|---|---|
| `allocate` | `compute_optimal(runs) -> Optimum`: all of it |
| `result` | `Optimum` |
| `cells`, `noise` | the cells of one family with size, epochs and compute; how far they scatter; resampled losses |
| `path` | best size and epochs along compute, their exponents, where one epoch is crossed |
| `envelope`, `isocompute`, `surface` | one approach each (Hoffmann et al. 2022, arXiv 2203.15556, sec. 3) |
| `runnable` | the nearest models and epoch budgets that exist |
| `band` | the bootstrap band of the frontier itself |
"""
