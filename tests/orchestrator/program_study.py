"""A study whose runs a NumPy program trains, in processes of its own, without Ray: a folder, a store and a scheduler on threads."""

import shutil
import sys
import time
from pathlib import Path

from sqlalchemy import select

from orchestrator.experiments_file import read_spec
from orchestrator.planning.accept import accept_plan
from orchestrator.planning.plan import make_plan
from orchestrator.planning.shipped import shipment_of, shipped
from orchestrator.scheduling.policy import SchedulingPolicy
from orchestrator.scheduling.scheduler import Scheduler
from orchestrator.store import Store, lease
from orchestrator.store.models import Attempt
from tests.orchestrator import a_program
from tests.orchestrator.threads import ThreadCluster

FILE = """\
name: mlp
trainer:
  command: [{python}, train.py, --width, "{{width}}", --epochs, "{{epochs}}", --lr, "{{learning_rate}}", --seed, "{{seed}}"]
  silence_seconds: {silence}
  startup_seconds: {startup}
models: [{{name: w8, width: 8, params: 40, macs: 40}}]
epochs: {epochs}
learning_rate: {rates}
"""


class Study:
    """A folder with a program and a file, a store beside it, and a scheduler on threads."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.patch = folder, monkeypatch
        self.store = Store.open(str(folder / "scaling.db"))
        shutil.copy(a_program.__file__, folder / "train.py")
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def plan(self, epochs="[8]", rates="0.1", silence=300.0, startup=3600.0):
        path = self.folder / "study.yaml"
        path.write_text(FILE.format(python=sys.executable, epochs=epochs, rates=rates, silence=silence, startup=startup))
        return self.planned()

    def planned(self):
        return make_plan(*read_spec(self.folder / "study.yaml"))

    def run(self, plan, trouble="", slow="0", should_stop=lambda: False, on_tick=lambda running: None, **policy):
        self.patch.setenv("TROUBLE", trouble)
        self.patch.setenv("SLOW", slow)
        self.accept(plan)
        holder = f"one-{time.monotonic()}"
        with self.store.write() as session:
            assert lease.take(session, holder)
        scheduler = Scheduler(
            self.store,
            ThreadCluster(1),
            identity=holder,
            home=self.folder / "runs",
            working_directory=Path.cwd(),
            policy=SchedulingPolicy(**policy),
        )
        try:
            return scheduler.run("mlp", should_stop, on_tick)
        finally:
            with self.store.write() as session:
                lease.release(session, holder)

    def accept(self, plan):
        accept_plan(self.store, plan if plan.copy else shipped(self.shipment(plan), plan, self.folder / "runs"))

    def shipment(self, plan):
        return shipment_of(plan, home=self.folder / "runs", db=str(self.folder / "scaling.db"), address="local")

    def log(self):
        [attempt] = self.all(Attempt)
        return (Path(attempt.directory) / "log.txt").read_text()

    def all(self, kind, *conditions):
        with self.store.read() as session:
            session.expire_on_commit = False
            return list(session.scalars(select(kind).where(*conditions)))


def processes_of(folder):
    """Processes that were started in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and (process / "cmdline").read_bytes().split(b"\0")[1] == b"train.py":
                found.append(int(process.name))
        except OSError:
            continue
    return found
