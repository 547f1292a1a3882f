"""`/api/v1/steer/…`: what the commands `pause`, `resume`, `cancel`, `retry`, `priority` and `exclude` do, for those who have the token.

They are off where the server has no token. `api.guard` lets a request through before it comes here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.database import Database, TheDatabase
from orchestrator.store import Store, queries, steering
from orchestrator.store.steering import Steer
from scaling.columns import SCHEMA_VERSION

__all__ = ["ACTIONS", "Steered", "exclude_or_include", "router", "steer"]

ACTIONS = (Steer.PAUSE, Steer.RESUME, Steer.CANCEL, Steer.RETRY, Steer.PRIORITY)

# The scheme is for openapi.json; `api.guard` has checked the token.
router = APIRouter(
    prefix="/steer", dependencies=[Depends(HTTPBearer(auto_error=False, description="The token of `scaling serve --token-file`."))]
)

_Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
_LEAST, _MOST = -(2**31), 2**31 - 1


class Which(BaseModel):
    """Names runs by their ids or the beginnings of them, or an experiment, or all: one of the three."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: Annotated[tuple[_Name, ...], Field(max_length=1000, description="Ids, or the beginnings of them.")] = ()
    experiment: Annotated[_Name | None, Field(description="All runs of this experiment.")] = None
    all: Annotated[bool, Field(description="Every run of the store.")] = False

    @model_validator(mode="after")
    def _is_one(self) -> Which:
        if sum((bool(self.runs), self.experiment is not None, self.all)) != 1:
            raise ValueError("which runs? give `runs`, or `experiment`, or `all`")
        return self


class WhichAndPriority(Which):
    """Names runs, and the priority that they get."""

    priority: Annotated[int, Field(ge=_LEAST, le=_MOST, description="Higher goes first; 0 is usual.")]


class Exclusion(BaseModel):
    """Names a run that no fit may use, with the reason that fits show; without a reason, fits use it again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Annotated[_Name, Field(description="Its id, or the beginning of it.")]
    reason: Annotated[_Name | None, Field(description="Why; null takes an exclusion back.")]


class Steered(BaseModel):
    """Answers a request about runs: `result` says what became of it, null while the scheduler at work has not carried it out."""

    schema_version: int = SCHEMA_VERSION
    intent: Annotated[int, Field(description="Its number in the store.")]
    result: Annotated[str | None, Field(examples=["3 paused; 2 were not: 2 finished"])]


class Excluded(BaseModel):
    """Answers an exclusion: the whole id of the run, and the reason that fits show."""

    schema_version: int = SCHEMA_VERSION
    run: str
    reason: str | None


def steer(database: Database, action: Steer, which: Which) -> Steered:
    """Ask for an action, as its command does. Raises `UnknownName`, `UsageError` for imported runs, `StoreError`."""
    priority = which.priority if isinstance(which, WhichAndPriority) else None
    with Store.open_existing(database.url) as store, store.write() as session:
        asked = steering.ask_by_name(
            session, action, runs=which.runs, experiment=which.experiment, everything=which.all, priority=priority
        )
        return Steered(intent=asked, result=steering.result_of(session, asked))


def exclude_or_include(database: Database, run: str, reason: str | None) -> str:
    """Leave a run out of fits, or take that back where `reason` is None; returns its id. Raises `UnknownName`, `UsageError`, `StoreError`."""
    with Store.open_existing(database.url) as store, store.write() as session:
        found = queries.run_id(session, run)
        steering.include(session, found) if reason is None else steering.exclude(session, found, reason)
        return found


_WORDS = {
    Steer.PAUSE: ("Hold runs back", "A run that trains checkpoints first and gives its devices to others."),
    Steer.RESUME: ("Let paused runs go on", "They go on from their last checkpoint."),
    Steer.CANCEL: ("Take runs out of the grid", "What they cost stays in the ledger; `retry` takes it back."),
    Steer.RETRY: ("Try again what failed, was stopped or cancelled", "A run goes on from its last checkpoint."),
    Steer.PRIORITY: ("Change which runs go first", "What trains now is not interrupted."),
}
_LATER: dict[int | str, dict[str, Any]] = {
    202: {"model": Steered, "description": "Written down; the scheduler at work carries it out."}
}


def _route(action: Steer) -> Callable[..., Steered]:
    body = WhichAndPriority if action is Steer.PRIORITY else Which

    def asked(which: Which, database: TheDatabase, response: Response) -> Steered:
        found = steer(database, action, which)
        if found.result is None:
            response.status_code = 202
        return found

    asked.__annotations__["which"] = body
    return asked


for _action in ACTIONS:
    _summary, _more = _WORDS[_action]
    router.add_api_route(
        f"/{_action}",
        _route(_action),
        methods=["POST"],
        name=str(_action),
        operation_id=f"{_action}_runs" if _action is not Steer.PRIORITY else "set_priority",
        summary=_summary,
        description=f"{_more} What `scaling {_action}` does; off without a token.",
        responses=_LATER,
    )


@router.post("/exclude", operation_id="exclude_run", summary="Leave a run out of every fit, or take that back")
def exclude(asked: Exclusion, database: TheDatabase) -> Excluded:
    """Exclude a run with a reason that each fit shows, or let fits use it again. What `scaling exclude` does; off without a token."""
    return Excluded(run=exclude_or_include(database, asked.run, asked.reason), reason=asked.reason)
