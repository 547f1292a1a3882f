"""Where runs in training will end: a page shows the last forecast at once, while the worker makes the next, as with other answers.

A forecast fits the law of all finished runs, which takes seconds in a large store, and every step of the run asks for another one.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from analysis import EndForecast
from api.database import Database
from api.worker import Worker
from orchestrator.running import forecast_in_training, is_forecast
from orchestrator.store import queries

__all__ = ["Forecasts", "forecast_now"]

_MOST_RUNS = 100
_REST = 2.0
"""A run is forecast anew after so many times as long as its last forecast took, as in `api.answers`."""


def forecast_now(database: Database, run_id: str) -> EndForecast | None:
    """Forecast the end of a run of the store as it is; None as of `forecast_in_training`."""
    runs = database.runs_frame(None)
    with database.read() as session:
        return forecast_in_training(session, queries.run_detail(session, run_id), runs)


@dataclass
class _Known:
    """Holds the last forecast of a run, and of what it was; the one that is made; from when on the next may be begun, monotonic seconds."""

    forecast: EndForecast | None = None
    of: Hashable = None
    under_way: Future[EndForecast | None] | None = None
    next: float = 0.0


class Forecasts:
    """Keeps the last forecast of each run in training for all clients.

    told: called with the link of a run's page when there is another one. patience_seconds: how long a page waits for the present one.
    """

    def __init__(self, worker: Worker, told: Callable[[str], None], patience_seconds: float) -> None:
        self._worker, self._told, self._patience = worker, told, patience_seconds
        self._lock = threading.RLock()  # a future that is done calls back at once
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def last(self, run: Mapping[str, Any]) -> EndForecast | None:
        """Return the newest forecast that is there in time; None of other runs, and while there is none.

        It is made anew when the run has gone on, not for each run that finishes. run: of `queries.run_detail`.
        """
        if not is_forecast(run):
            return None
        now = (run["step"], run["status"])
        with self._lock:
            known = self._known.setdefault(run["id"], _Known())
            self._known.move_to_end(run["id"])
            while len(self._known) > _MOST_RUNS:
                self._known.popitem(last=False)
            if known.under_way is None and known.of != now and time.monotonic() >= known.next:
                known.under_way = self._begun(run["id"])
                known.under_way.add_done_callback(partial(self._done, run["id"], known, now, time.monotonic()))
            under_way = known.under_way
        if under_way is not None:
            with suppress(TimeoutError, CancelledError, BrokenExecutor):
                return under_way.result(self._patience)
        return known.forecast

    def present(self, run: Mapping[str, Any]) -> EndForecast | None:
        """Wait for the forecast of the store as it is now."""
        return self._begun(run["id"]).result() if is_forecast(run) else None

    def _begun(self, run_id: str) -> Future[EndForecast | None]:
        return self._worker.compute(forecast_now, run_id)

    def _done(self, run_id: str, known: _Known, of: Hashable, begun: float, made: Future[EndForecast | None]) -> None:
        with self._lock:
            known.under_way, ended = None, time.monotonic()
            known.next = ended + _REST * (ended - begun)
            if made.cancelled() or made.exception() is not None:
                return
            known.of, is_first = of, known.forecast is None
            known.forecast = made.result()
        if is_first and known.forecast is not None:  # later ones come with the next step
            self._told(f"/runs/{run_id}")
