"""Probes: is the process up, can it read the store, which version is it."""

from __future__ import annotations

from importlib import metadata

from fastapi import APIRouter, Response

from api.database import TheDatabase
from api.schemas.health import Health, Readiness, Version
from orchestrator.store import queries
from scaling.columns import SCHEMA_VERSION

__all__ = ["router"]

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="The process is up", operation_id="get_health")
def healthz(response: Response) -> Health:
    """Answers without touching the store: restart the process when this fails."""
    response.headers["Cache-Control"] = "no-store"
    return Health(status="ok")


@router.get("/readyz", summary="The store can be read", operation_id="get_readiness")
def readyz(database: TheDatabase, response: Response) -> Readiness:
    """Answers 503 with the reason while there is no store or it cannot be read; the process recovers by itself."""
    response.headers["Cache-Control"] = "no-store"
    with database.read() as session:
        return Readiness(status="ok", runs=queries.count_runs(session))


@router.get("/version", summary="Version of the software and of its JSON", operation_id="get_version")
def version() -> Version:
    return Version(name="scaling", version=metadata.version("scaling"), schema_version=SCHEMA_VERSION)
