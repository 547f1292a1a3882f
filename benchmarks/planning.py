"""A grid of 100,000 runs: planned, accepted, listed and resumed; how long it takes, and how many statements the database is asked.

python benchmarks/planning.py [--runs 100000]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

_GRID = """\
name: large
dataset: {{name: declared, title: large, train_examples: 1e6, validation_examples: 1e3, num_classes: 10, image_shape: [32, 32, 3]}}
models: [F0, F1, F3, F3+, F7]
epochs: [0.25, 0.5, 1, 2, 4]
batch_size: 128
learning_rate: {{grid: [0.1, 0.2, 0.4, 0.8]}}
seeds: {seeds}
"""


class _Statements:
    """Counts what is sent to a database; an `executemany` is one statement."""

    def __init__(self) -> None:
        self.count = 0
        event.listen(Engine, "before_cursor_execute", self._one_more)

    def _one_more(self, *_: Any) -> None:
        self.count += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    arguments = parser.parse_args()

    from orchestrator.experiments_file import read_spec
    from orchestrator.planning.accept import accept_plan, plan_status
    from orchestrator.planning.plan import make_plan
    from orchestrator.scheduling.queue import Queue
    from orchestrator.store import Store, queries

    statements = _Statements()

    def timed(what: str, do: Callable[[], Any]) -> Any:
        before, wall, cpu = statements.count, time.perf_counter(), time.process_time()
        result = do()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{what:44} {wall:7.2f} s {cpu:7.2f} CPU-s {statements.count - before:5} statements", flush=True)
        return result

    with tempfile.TemporaryDirectory(prefix="scaling-planning-") as name:
        file = Path(name) / "large.yaml"
        file.write_text(_GRID.format(seeds=list(range(max(1, arguments.runs // 100)))))
        with Store.open(str(Path(name) / "scaling.db")) as store:
            spec = read_spec(file, simulate=True)
            plan = timed("plan", lambda: make_plan(*spec))
            timed("accept", lambda: accept_plan(store, plan))
            print(f"{len(plan.runs)} runs")
            with store.read() as session:
                timed("list the first 100", lambda: queries.runs(session, limit=100))
                timed("list all", lambda: queries.runs(session))
                timed("how many of each status", lambda: queries.status_counts(session, plan.spec.name))
                queue = Queue()
                timed("the scheduler reads what waits", lambda: queue.refresh(session, lambda run: None))
                timed("the scheduler looks again, nothing changed", lambda: queue.refresh(session, lambda run: None))
            timed("resume: what of the plan is done", lambda: plan_status(store, plan))
            timed("resume: submit again", lambda: accept_plan(store, plan))
    print(f"most memory held: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
