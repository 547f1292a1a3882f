"""The Ray job of a detached submit: the scheduler of an experiment that has been accepted. It ends as `scaling submit` does.
python -P -m scaling.cli.detached EXPERIMENT HOME POLICY          the store is SCALING_DB, the cluster the job's own

POLICY: a `SchedulingPolicy` as a JSON object.
"""

from __future__ import annotations

import json
import os
import signal
import sys

__all__ = ["main"]


def main(experiment: str, home: str, policy: str) -> int:
    """See an experiment through, print what its runs say, and return the exit code.

    `ray job stop` lets what runs checkpoint, and pauses it.
    """
    from orchestrator.main_job import ending
    from orchestrator.scheduling.policy import SchedulingPolicy
    from orchestrator.scheduling.see_through import see_through
    from orchestrator.store import Store
    from scaling.cli.closing import close

    asked: list[int] = []  # no lock, on which a second signal could wait for ever
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it was detached from every terminal
    db = os.environ["SCALING_DB"]
    with Store.open_existing(db) as store:
        how = SchedulingPolicy.from_dict(json.loads(policy))
        outcome = see_through(store, experiment, home=home, address="auto", policy=how, should_stop=lambda: bool(asked))
        ended = ending(store, experiment, outcome, db=db)
    close(ended)
    return ended.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
