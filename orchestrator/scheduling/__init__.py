"""Keeps runs going: puts them on workers, records what they did, and recovers when a process or a node dies.

| file | what it holds |
|---|---|
| `see_through` | wait until an experiment is done: as its scheduler, or behind the one that is at work |
| `scheduler` | puts pending runs on workers, writes down what comes back |
| `policy` | the order of runs and the timeouts; rules that change what is to be run |
| `queue`, `capacity` | which runs wait, by workload; whether one worker more is wanted and fits |
| `worker_slot`, `retry_policy` | a worker and the attempts on it; workers that end before they have begun |
| `assignment`, `attempt`, `liveness` | what a worker is told; what its events mean; when an attempt counts as hung |
| `takeover`, `recovery` | workers and attempts that a dead scheduler left |
| `early_stop`, `data_faults` | runs that cannot reach the frontier any more; runs whose data are at fault |
| `follower` | messages of a command that waits for another one's scheduler |

It knows a cluster by `orchestrator.cluster.protocol` and never imports Ray; `tests/orchestrator/scheduling` runs it on threads.
"""
