"""Learning rates that are found rather than listed, with a second setting where the file asks for one: `learning_rate: {policy: two-trial, …}`.

    plan ─ cells ─> replay ─ questions ─> runs ─ results ─> replay …

| file | what it holds |
|---|---|
| `cells` | a cell to be searched, the policy, and which cells come before which |
| `two_trial` | the rule of one cell: which rate, or value of a second setting, to try next; when to stop |
| `replay` | all cells of an experiment: what has been asked and found, from the results alone |
| `advance` | `Searches`: the same against the store; asks for the runs that are due |
| `finetuning` | `Finetunings`: which pre-trained runs are fine-tuned, by their results; the rule of the scheduler that asks for runs of both stages |
| `report` | trials, regret against a grid, core-hours saved |

Nothing of a search is remembered but its runs. What is asked next is a function of the file and of the results of the runs asked before,
worked out anew each time. So a scheduler that takes over asks the very same questions, and the order in which runs end makes no difference.
"""
