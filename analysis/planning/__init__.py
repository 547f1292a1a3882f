"""Which runs to do next, so that a prediction becomes as sure as the budget allows.

| file | what it holds |
|---|---|
| `by_forecast` | candidates judged by the forecast that will be made after them, under all its members together |
| `futures` | what the curve may be beyond the runs, as draws |
| `foreseen` | what the forecast would say after some runs in each draw, and the search for the runs after which it errs least |
| `by_law` | candidates judged by one law that is taken to be right |
| `design` | the choice of cells for that: greedy, then exchanges; c- and D-optimal |
| `target` | the law, the inputs at which it is asked, and the derivatives that the design needs |
| `next_runs`, `result` | `plan(runs, candidates, …) -> NextRuns` |
| `neighbours` | candidates where no file names any: cells like those that were run |
"""
