"""A fault of the data meets every run that reads them: once three runs have failed of the same one, no other run of these data is started.

The others stay pending, with `HELD` as their reason, until one of the three is tried again: by a new submit, or by `scaling retry`. The next
scheduler knows by that reason what the one before had learnt; submitting a run that has it takes it back from all, so that they are tried anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.store.grid import HELD
from orchestrator.store.membership import among
from orchestrator.store.models import Run
from scaling.outcomes import RunStatus

__all__ = ["ENOUGH", "HELD", "DataFaults", "data_of"]

ENOUGH = 3
"""Runs that fail of one fault before the others are held back: in the same words, or of any training example."""

_OF_ANY = "train example "
"""How the reason of a run begins that met a bad training example. Which one it meets first depends on its seed."""

Data = tuple[str, str | None, str]
"""A data set: its name, where it lies, its fingerprint."""

_PLACES = (("data", "name"), ("data", "options", "path"), ("data", "card", "fingerprint"))
_COLUMNS = [Run.config[place].as_string() for place in _PLACES]


def data_of(config: Mapping[str, Any]) -> Data:
    """Reads it from a run's config; empty where that has no data."""
    data = config.get("data") or {}
    return (data.get("name", ""), (data.get("options") or {}).get("path"), (data.get("card") or {}).get("fingerprint", ""))


class DataFaults:
    """What this scheduler has learnt of the data of its runs."""

    def __init__(self) -> None:
        self._failed: dict[tuple[Data, str], set[str]] = {}

    def note(self, run_id: str, config: Mapping[str, object], reason: str) -> bool:
        """A run has failed of its data, for this reason. True when others of the same data are to be held back."""
        runs = self._failed.setdefault((data_of(config), _fault(reason)), set())
        runs.add(run_id)
        return len(runs) >= ENOUGH

    @property
    def faulty(self) -> set[Data]:
        """Data whose runs are held back."""
        return {data for (data, _), runs in self._failed.items() if len(runs) >= ENOUGH}

    def restore(self, session: Session) -> None:
        """What the scheduler before this one had learnt."""
        held = {_key(row) for row in session.execute(select(*_COLUMNS).where(Run.status == RunStatus.PENDING, Run.reason == HELD))}
        if not held:
            return
        failed = session.execute(select(Run.id, Run.reason, *_COLUMNS).where(Run.status == RunStatus.FAILED)).all()
        alike = Counter((_key(row[2:]), _fault(row[1])) for row in failed)
        for run_id, reason, *data in failed:
            if (key := _key(data)) in held and alike[key, _fault(reason)] >= ENOUGH:
                self.note(run_id, {"data": {"name": key[0], "options": {"path": key[1]}, "card": {"fingerprint": key[2]}}}, reason)

    def held(self, session: Session) -> dict[str, str]:
        """Pending runs that are not to be started, each with the reason. Faults of runs that are tried again count no more."""
        if not self.faulty:
            return {}
        for runs in self._failed.values():
            runs &= set(session.scalars(select(Run.id).where(among(session, Run.id, sorted(runs)), Run.status == RunStatus.FAILED)))
        if not (faulty := self.faulty):
            return {}
        pending = session.execute(select(Run.id, *_COLUMNS).where(Run.status == RunStatus.PENDING))
        return {run_id: HELD for run_id, *data in pending if _key(data) in faulty}


def _fault(reason: str) -> str:
    """What runs that fail of the same fault have in common."""
    return _OF_ANY if reason.startswith(_OF_ANY) else reason


def _key(row: Iterable[Any]) -> Data:
    name, path, fingerprint = row
    return (name or "", path, fingerprint or "")
