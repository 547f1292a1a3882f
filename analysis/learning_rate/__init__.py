"""How the best learning rate falls with the epoch budget and with size.

| file | what it holds |
|---|---|
| `grids` | the cells that tried several rates, and whether their best lies inside what was tried |
| `law` | the law, as columns of a linear model |
| `fit` | `learning_rate_trend`: one fit over all cells |
| `besides` | the same of the best weight decay and batch size, where several were tried |
| `trend` | its result: `LearningRateTrend` |
| `early` | the same law while there are few cells, with priors |
| `monotone` | each cell's own minimum, and the test that they fall |
| `unseen` | the rate of a cell that was not run, and the trials it would need |
"""

from analysis.learning_rate.fit import learning_rate_trend
from analysis.learning_rate.trend import LearningRateTrend
from analysis.learning_rate.unseen import CellRate

__all__ = ["CellRate", "LearningRateTrend", "learning_rate_trend"]
