"""From a table of runs to a law: what compute buys, which model to train, at which learning rate.

>>> import analysis
>>> runs = analysis.read_runs("runs.csv", {"core_hours": "tpu_hours"})
>>> print(analysis.fit(runs, metric="val_loss", law="power").summary())

| file | what it holds |
|---|---|
| `reading/` | reading runs that were trained elsewhere: files, folders, units |
| `selection`, `cells` | which rows count, and why the others do not; seeds and learning rates of one cell |
| `laws/` | one law a file: formula, coefficients, citation |
| `fitting/` | estimators, their intervals, and `Fit` |
| `sentence` | what the law says, in a sentence with its numbers |
| `unfinished` | runs of a store that are not over yet: what is missing comes with them |
| `choice` | `choose_law`: the one form that forecasts best, whose coefficients are shown everywhere; `answer`: what it says |
| `pareto` | the compute-optimal frontier |
| `reference_points/` | results of others beside a frontier, which enter nothing |
| `optimum/` | best size and epochs against compute, three approaches side by side; the frontier's band |
| `comparison/` | two families or recipes at equal compute |
| `prediction`, `scoring` | the metric at a budget, and what became of registered predictions |
| `planning/` | which next runs make a prediction surest |
| `finetuned` | which runs a question is about, pre-trained or fine-tuned ones: the door of every question |
| `downstream/` | fine-tuned metric against pre-training compute, and which checkpoint to fine-tune |
| `learning_rate/` | how the best learning rate falls with the epoch budget and with size |
| `figures/` | one figure a file; the only place that knows plotly |
| `payloads` | the JSON that the command and the HTTP API return |

Everything takes any table with the columns of `scaling.columns` and knows nothing of how the runs came about. Names are loaded when
they are first used, so that `import analysis` costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
