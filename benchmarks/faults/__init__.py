"""Proof by faults: real processes are struck while they work, and an independent trace says what became of their runs.

    python -m benchmarks.faults --family simulated --minutes 25      # a shard: appends to benchmarks/faults.csv
    python -m benchmarks.faults --family real --minutes 25
    python -m benchmarks.faults --family program --minutes 8         # runs that a user's program trains
    python -m benchmarks.faults --family finetuned --minutes 8       # runs that are fine-tuned from others, as results choose them
    python -m benchmarks.faults --replay 17 --family simulated       # round 17 again: the same runs, kinds and moments
    python -m benchmarks.faults --kinds "SIGHUP" "PostgreSQL away (10 seconds)"   # these alone; a kind with PostgreSQL starts a server
    python -m benchmarks.faults --table                              # what all shards came to

A shard is a row of rounds on one long-lived Ray cluster. A round submits a grid of its own with the real command, strikes the processes
that work on it at random moments, submits again whenever the command has ended, until every run has ended; then judges.

| part | what it holds |
|---|---|
| `world` | the cluster, the disks, the commands; what the store and the traces say meanwhile |
| `server` | a PostgreSQL server that can be taken away |
| `kinds` | the kinds of faults, a function each |
| `grids` | what is worked on |
| `a_program` | the program of the family `program` |
| `round` | one round: when what is struck |
| `judge` | what became of each run, from the fault traces and the store |
| `table` | the rows as tables |
"""
