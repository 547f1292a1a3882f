"""Which runs to do next, so that a prediction becomes as sure as the budget allows.

| file | what it holds |
|---|---|
| `design` | the choice of cells under a budget: greedy, then exchanges; c- and D-optimal |
| `target` | the law, the inputs at which it is asked, and the derivatives that the design needs |
| `next_runs`, `result` | `plan(runs, candidates, …) -> NextRuns` |
| `neighbours` | candidates where no file names any: cells like those that were run |
"""
