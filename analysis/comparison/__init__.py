"""Is X better than Y at equal compute, or is that noise?

| file | what it holds |
|---|---|
| `arms` | the two sides: their cells, and which runs count |
| `pairing` | cells of the two that share a budget |
| `paired`, `joint` | the difference of log metric: from pairs, or from cells that do not line up |
| `twins`, `frontier_slope` | noise that cells share though their budgets differ; how fast the best loss falls |
| `compare`, `result` | `compare(runs, by=…) -> Comparison` |
"""
