"""A fault of the data meets every run that reads them: once three runs have failed of the same one, no other run of these data is started.

The others stay pending, with `HELD` as their reason, until one of the three is tried again: by a new submit, or by `scaling retry`. The
next scheduler knows by that reason what the one before had learnt. Submitting a run that has it clears it from all, so that they are
tried anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from orchestrator.store import Session, data_faults
from orchestrator.store.data_faults import HELD, Data, data_of

__all__ = ["ENOUGH", "HELD", "DataFaults", "data_of"]

ENOUGH = 3
"""How many runs fail of one fault before the others are held back: in the same words, or of any training example."""

_OF_ANY = "train example "
"""How the reason of a run begins that met a bad training example. Which one it meets first depends on its seed."""


class DataFaults:
    """Counts the runs of this scheduler that failed of their data, by data set and fault."""

    def __init__(self) -> None:
        self._failed: dict[tuple[Data, str], set[str]] = {}

    def note(self, run_id: str, config: Mapping[str, object], reason: str) -> bool:
        """Note that a run has failed of its data, for this reason. Returns True when others of the same data are to be held back."""
        return self._note(run_id, data_of(config), reason)

    def _note(self, run_id: str, data: Data, reason: str) -> bool:
        runs = self._failed.setdefault((data, _fault(reason)), set())
        runs.add(run_id)
        return len(runs) >= ENOUGH

    @property
    def faulty(self) -> set[Data]:
        """Return the data sets whose runs are held back."""
        return {data for (data, _), runs in self._failed.items() if len(runs) >= ENOUGH}

    def restore(self, session: Session) -> None:
        """Read from the store what the scheduler before this one knew."""
        held = data_faults.data_held_back(session)
        if not held:
            return
        failed = data_faults.failed_runs(session)
        alike = Counter((data, _fault(reason)) for _, reason, data in failed)
        for run_id, reason, data in failed:
            if data in held and alike[data, _fault(reason)] >= ENOUGH:
                self._note(run_id, data, reason)

    def held(self, session: Session) -> dict[str, str]:
        """Map pending runs that are not to be started to the reason. Faults of runs that are tried again no longer count."""
        if not self.faulty:
            return {}
        for runs in self._failed.values():
            runs &= data_faults.still_failed(session, runs)
        return dict.fromkeys(data_faults.pending_runs(session, self.faulty), HELD) if self.faulty else {}


def _fault(reason: str) -> str:
    """Return what the reasons of runs that failed of the same fault have in common."""
    return _OF_ANY if reason.startswith(_OF_ANY) else reason
