"""`/metrics`: runs by state, core-hours, the queue and request times, in the text format of Prometheus.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from fastapi import APIRouter, Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.database import Database, TheDatabase
from orchestrator.store import queries
from orchestrator.store.progress import Progress, progress_of
from scaling.errors import StoreError
from scaling.outcomes import RunStatus

__all__ = ["RequestTimes", "TimesRequests", "router"]

router = APIRouter(tags=["health"])

_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PARTS = {"frontier", "runs", "experiments", "learning-rate", "compare", "plan", "api", "assets", "metrics", "healthz", "readyz"}
_NO_END = "/api/v1/events"

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]


class RequestTimes:
    """Counts how long requests took, by the first part of their path and the kind of their status, in buckets of a histogram."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (len(_BOUNDS_SECONDS) + 1))
        self._seconds: dict[tuple[str, str], float] = defaultdict(float)

    def add(self, path: str, status: int, seconds: float) -> None:
        """Count a request. A path that is no page's is `other`, so that nobody can make labels without end."""
        part = path.split("/")[1].partition(".")[0] if path.startswith("/") else ""
        key = (part if part in _PARTS else "other", f"{status // 100}xx")
        with self._lock:
            self._buckets[key][bisect_left(_BOUNDS_SECONDS, seconds)] += 1
            self._seconds[key] += seconds

    def samples(self) -> Iterator[Sample]:
        """Yield the samples of the histogram."""
        with self._lock:
            found = [(key, list(counts), self._seconds[key]) for key, counts in sorted(self._buckets.items())]
        for (part, status), counts, seconds in found:
            labels, total = {"part": part, "status": status}, 0
            for bound, count in zip([*map(str, _BOUNDS_SECONDS), "+Inf"], counts, strict=True):
                total += count
                yield "_bucket", {**labels, "le": bound}, total
            yield "_sum", labels, seconds
            yield "_count", labels, total


class TimesRequests:
    """Times each request from its arrival to the end of its answer. It is ASGI middleware. The stream of events has no end and is left out."""

    def __init__(self, app: ASGIApp, *, times: RequestTimes) -> None:
        self.app, self._times = app, times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == _NO_END:
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            self._times.add(scope["path"], status, time.perf_counter() - began)


@router.get(
    "/metrics",
    summary="Runs, core-hours, queue and request times for Prometheus",
    operation_id="get_metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": 'scaling_runs{status="finished"} 39'}}}},
)
def metrics(request: Request, database: TheDatabase) -> Response:
    """Answer in the text format of Prometheus. `scaling_store_up` is 0 while there is no store that can be read."""
    times: RequestTimes = request.app.state.times
    text = "".join(
        [*_of_store(database), *_family("scaling_http_request_seconds", "histogram", "Time of requests.", times.samples())]
    )
    return Response(text, media_type=_MEDIA_TYPE, headers={"Cache-Control": "no-store"})


def _of_store(database: Database) -> Iterator[str]:
    try:
        with database.read() as session:
            pace, counts = progress_of(session), queries.experiment_counts(session)
            states = queries.status_counts(session)
            useful, allocated = queries.core_hours(session)
            at_work = queries.scheduler(session) is not None
    except StoreError:
        yield from _family("scaling_store_up", "gauge", "Whether the store can be read.", [("", {}, 0)])
        return
    yield from _family("scaling_store_up", "gauge", "Whether the store can be read.", [("", {}, 1)])
    runs = [("", {"status": str(status)}, float(states.get(str(status), 0))) for status in RunStatus]
    yield from _family("scaling_runs", "gauge", "Runs of the store by status.", runs)
    each = [
        ("", {"experiment": name, "status": status}, float(count))
        for name, found in counts.items()
        for status, count in found.items()
    ]
    yield from _family("scaling_experiment_runs", "gauge", "Runs of each experiment by status.", each)
    yield from _family("scaling_queue_runs", "gauge", "Runs that wait for devices.", [("", {}, runs[0][2])])
    hours = [("", {"kind": "useful"}, useful), ("", {"kind": "allocated"}, allocated)]
    yield from _family(
        "scaling_core_hours", "gauge", "Core-hours so far: of surviving training steps, and for which devices were held.", hours
    )
    yield from _family("scaling_scheduler_up", "gauge", "Whether a scheduler is at work.", [("", {}, float(at_work))])
    yield from _pace(pace)


def _pace(pace: Progress) -> Iterator[str]:
    known = (
        ("scaling_eta_seconds", "Time until all runs that are wanted are done.", pace.eta_seconds),
        ("scaling_examples_per_second", "Throughput of the runs in training.", pace.examples_per_second),
        ("scaling_mfu", "Mean model FLOP utilisation of the runs in training, 0 to 1.", pace.mfu),
        ("scaling_best_val_loss", "Lowest validation loss of pre-training, in nats.", pace.best_val_loss),
    )
    for name, words, value in known:
        if value is not None:
            yield from _family(name, "gauge", words, [("", {}, value)])


def _family(name: str, kind: str, words: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {words}\n# TYPE {name} {kind}\n"
    for suffix, labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{suffix}{{{told}}} {value:.17g}\n" if told else f"{name}{suffix} {value:.17g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
