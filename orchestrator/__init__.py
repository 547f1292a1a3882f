"""Decides what to run, runs it, and remembers.

    experiments.yaml ─ experiments_file ─> planning ─ store ─> pending runs ─ scheduling + cluster ─> attempts ─ store ─> finished runs

| part | what it holds |
|---|---|
| `main_job` | all of it in one call: `scaling.submit` |
| `experiments_file/` | the experiments file: fields, lines, errors; files to begin with |
| `planning/` | its runs, with ids and a price |
| `scheduling/` | puts runs on workers and records their results |
| `search/` | learning rates that are found on the way |
| `cluster/` | the only door to Ray: workers and their trainer processes |
| `store/` | the only door to SQL; knows neither Ray nor the trainer |
| `messages` | what goes between processes: assignments there, events back |
| `resources` | the hardware that a run holds, and how it is executed |
| `home`, `provenance` | the folder of runs; which code ran |
| `program`, `shipping` | a training program of a user's: its command; its files, their version and their copies |
| `detach`, `registered` | a scheduler that stays on the cluster; predictions that are kept until their run is done |
"""
