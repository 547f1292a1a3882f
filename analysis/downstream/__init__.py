"""What pre-training buys downstream, and which checkpoint to fine-tune.

| file | what it holds |
|---|---|
| `transfer`, `result` | `transfer(runs) -> Transfer`: all of it |
| `checkpoints` | fine-tuned runs with what they started from; one row a pre-trained cell |
| `shift`, `contrast` | whether the best size after fine-tuning is another than before, at equal compute; the estimator behind it |
| `rank` | rank correlations with intervals |
"""
