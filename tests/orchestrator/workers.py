"""A worker that says what a test lets it say, and a clock that goes as the test says."""

from orchestrator.resources import Resources, RunOptions
from orchestrator.scheduling import liveness
from orchestrator.scheduling.attempt import AttemptLog
from orchestrator.scheduling.liveness import AwakeClock, Liveness
from orchestrator.scheduling.queue import Workload
from orchestrator.scheduling.worker_slot import WorkerSlot
from orchestrator.store.ledger import Grant

TOKEN = "t"


class Clock:
    """Seconds that pass when the test says so, each of them looked at unless the process is stopped."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(liveness.time, "monotonic", lambda: self.now)
        self.awake_seconds = AwakeClock()
        monkeypatch.setattr("orchestrator.scheduling.worker_slot.awake_seconds", self.awake_seconds)
        monkeypatch.setattr("orchestrator.scheduling.attempt.awake_seconds", self.awake_seconds)

    def at_work(self, seconds):
        for _ in range(round(seconds)):
            self.now += 1.0
            self.awake_seconds()

    def stopped(self, seconds):
        self.now += seconds


class Said:
    """A worker and the cluster at once: every call's reference is its answer."""

    def __init__(self, **said):
        self.said = {"held_seconds": 7.0, "events": [], "nodes": ["n"], "code_version": "1"} | said
        self.asked, self.aborted = [], []

    def next_events(self, wait_seconds, after, settled):
        self.asked.append(wait_seconds)
        return self.said

    def adopt(self, scheduler):
        return [TOKEN]

    def abort(self, token):
        self.aborted.append(token)

    def stop(self, token):
        return token

    def ready(self, references, seconds):
        return []

    def answer(self, reference):
        return reference


def slot_of(worker, **changes):
    slot = WorkerSlot(worker, Workload("s", Resources("cpu", 1)), 1, **changes)
    grant = Grant("a" * 16, 1, TOKEN, {}, Resources("cpu", 1), RunOptions(), None, 0)
    slot.attempts[TOKEN] = AttemptLog(grant, liveness=Liveness(hang_seconds=60.0, start_seconds=600.0))
    return slot


def answered(worker):
    slot = slot_of(worker)
    slot.ask()
    slot.answer(worker)
    return slot
