"""Results of others that are drawn beside a frontier. They are no runs: nothing here enters a fit, a frontier or a comparison.

| file | what it holds |
|---|---|
| `published.csv` | published ImageNet results at their pre-training compute, with sources |
| `digitised.csv` | the 21 fine-tuned networks that figure 1 of the NFNet study shows, read off it |
| `point` | `ReferencePoint`: one of them, with the hours as published and as converted |
| `read` | a CSV of them: those above, and a user's own |
| `beside` | `references_of(…) -> References`: those that belong beside a frontier of a metric and a measure of compute |

A further series is one more CSV here, and its name in `NAMES` of `read`.
"""
