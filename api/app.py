"""`create_app`: the application, put together from its parts."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from api import assets, health, pages, problems, v1
from api.conditional import Conditional
from api.database import Database
from api.head import HeadAsGet
from api.hosts import AllowedHosts, host_names
from api.nul import RefusesNul
from api.security import SecurityHeaders
from orchestrator.store import DEFAULT_URL

__all__ = ["create_app"]

_GZIP_FROM_BYTES = 2_000


def create_app(db: str = DEFAULT_URL, *, allow_hosts: Iterable[str] = ()) -> FastAPI:
    """Build the application: the pages and the JSON API over the store `db`, a path or an SQLAlchemy URL.

    The store need not exist yet: until it does, pages say how to make one and JSON routes answer 503.

    allow_hosts: names under which the machine is reached, besides its addresses, localhost and its own names.
    Raises `UsageError` for one that is not a host's name.
    """
    app = FastAPI(
        title="scaling",
        summary="Runs, laws and the compute-optimal frontier",
        version=metadata.version("scaling"),
        docs_url=None,  # both pages load scripts from another host
        redoc_url=None,
        responses=problems.OPENAPI_RESPONSES,
    )
    app.state.database = Database(db)
    for part in (assets, health, v1, pages):
        app.include_router(part.router)
    problems.install(app)
    # The last one added is the outermost.
    app.add_middleware(RefusesNul)
    app.add_middleware(Conditional, database=app.state.database)
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_FROM_BYTES, compresslevel=5)
    app.add_middleware(AllowedHosts, names=host_names(allow_hosts))
    app.add_middleware(HeadAsGet)
    app.add_middleware(SecurityHeaders)
    return app
