"""What a detached submit runs on the cluster: the scheduler of an experiment that has been accepted, as a Ray job.

python -P -m orchestrator.detached EXPERIMENT HOME OPTIONS          the store is SCALING_DB, the cluster the job's own

OPTIONS: a JSON object of further arguments of `see_through`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from sqlalchemy import select

from orchestrator.store import Store, open_readonly
from orchestrator.store.models import Experiment
from scaling.errors import ScalingError

__all__ = ["main", "mark_of", "marked_there"]


def main(experiment: str, home: str, options: str) -> int:
    """See an experiment through; 0 when all its runs have ended. `ray job stop` lets what runs checkpoint and pauses it."""
    from orchestrator.submit import see_through

    asked: list[int] = []  # no lock, on which a second signal could wait for ever
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it was detached from every terminal
    with Store.open_existing(os.environ["SCALING_DB"]) as store:
        ended = see_through(
            store, experiment, home=Path(home), address="auto", should_stop=lambda: bool(asked), **json.loads(options)
        )
    print(ended, flush=True)
    return 0 if ended == "done" else 1


def mark_of(store: Store, experiment: str) -> str | None:
    """Tells an experiment of this store from one of that name in another."""
    with store.read() as session:
        made = session.scalar(select(Experiment.created_at).where(Experiment.name == experiment))
    return made.isoformat() if made else None


def marked_there(url: str, experiment: str) -> tuple[str | None, str]:
    """On a node of the cluster: `mark_of` as seen from there, and what is wrong if the store cannot be opened."""
    try:
        with open_readonly(url) as store:
            return mark_of(store, experiment), f"the store there has no experiment {experiment}"
    except ScalingError as error:
        return None, str(error)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
