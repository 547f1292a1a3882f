"""`create_app`: the application, put together from its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from api import assets, health, metrics, pages, problems, v1
from api.answered import Answered
from api.answers import Answers
from api.conditional import Conditional
from api.database import Database
from api.description import Described
from api.forecasts import Forecasts
from api.guard import Guard, Login
from api.head import HeadAsGet
from api.hosts import AllowedHosts, host_names
from api.metrics import RequestTimes, TimesRequests
from api.nul import RefusesNul
from api.security import SecurityHeaders
from api.watcher import Watcher
from api.worker import InProcess, InThreads
from orchestrator.store import DEFAULT_URL

__all__ = ["create_app", "routes_over"]

_GZIP_FROM_BYTES = 2_000


def create_app(
    db: str = DEFAULT_URL,
    *,
    allow_hosts: Iterable[str] = (),
    own_process: bool = False,
    patience_seconds: float = 60.0,
    token: str | None = None,
) -> FastAPI:
    """Build the application: the pages and the JSON API over the store `db`, a path or an SQLAlchemy URL.

    The store need not exist yet: until it does, pages say how to make one and JSON routes answer 503.

    allow_hosts: names under which the machine is reached, besides its addresses, localhost and its own names.
    own_process: compute answers of the analysis in a process beside this one, started with the application; else in threads.
    patience_seconds: how long a page waits for its answer before it shows the last one; `scaling serve` takes 0.05.
    token: who has it may change runs; without one nobody may. `api.token.read_token` reads it.
    Raises `UsageError` for one that is not a host's name.
    """
    names, database = host_names(allow_hosts), Database(db)
    login = None if token is None else Login(token)
    can_steer = login is not None
    worker = InProcess(db, can_steer=can_steer) if own_process else InThreads(routes_over(database, can_steer=can_steer))
    watcher = Watcher(database)

    @asynccontextmanager
    async def alive(_app: FastAPI) -> AsyncIterator[None]:
        worker.warm()
        yield
        worker.close()

    app = routes_over(database, can_steer=can_steer, lifespan=alive)
    app.state.watcher, app.state.login = watcher, login
    app.state.forecasts = Forecasts(worker, watcher.tell_answered, patience_seconds)
    # The last one added is the outermost.
    answered = Answered([*(("", router) for router in pages.routers()), *((v1.PREFIX, router) for router in v1.routers)])
    kept: dict[str, Any] = {"worker": worker, "told": watcher.tell_answered, "patience_seconds": patience_seconds}
    app.add_middleware(Answers, database=database, answered=answered, **kept)
    app.add_middleware(Guard, login=login)
    app.add_middleware(RefusesNul)
    app.add_middleware(Conditional, database=database, answered=answered)
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_FROM_BYTES, compresslevel=5)
    app.add_middleware(AllowedHosts, names=names)
    app.add_middleware(HeadAsGet)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(TimesRequests, times=app.state.times)
    return app


def routes_over(database: Database, *, can_steer: bool = False, **settings: Any) -> FastAPI:
    """Build the routes alone over a store, as the worker that computes answers asks them.

    can_steer: pages have the buttons that change runs.
    """
    app = Described(
        title="scaling",
        summary="Runs, laws and the compute-optimal frontier",
        version=metadata.version("scaling"),
        docs_url=None,  # both pages load scripts from another host; ours is api.pages.docs
        redoc_url=None,
        responses=problems.OPENAPI_RESPONSES,
        **settings,
    )
    app.state.database, app.state.can_steer, app.state.times = database, can_steer, RequestTimes()
    for part in (assets, health, metrics, v1, pages):
        app.include_router(part.router)
    problems.install(app)
    return app
