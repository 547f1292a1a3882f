"""`/api/v1/runs`: the table of runs, filtered and in pages, and one run with its curves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Request, Response

from analysis.questions import Asked, Question
from api.asking import asks
from api.database import Database, TheDatabase
from api.json_answer import answers, json_answer
from api.paging import Position, digest
from api.problems import naming_a_path
from api.run_version import RunVersion
from api.schemas.runs import RunAnswer, RunsAnswer
from orchestrator.store import asked_runs, queries, run_changes
from orchestrator.store.asked_runs import EXAMPLE, OLDEST
from orchestrator.store.payloads import run_payload, runs_payload
from scaling.columns import RUN_COLUMNS, Column
from scaling.errors import UnknownName, UsageError

__all__ = ["CHOOSABLE", "AskedRuns", "Page", "columns_named", "page_of_runs", "router", "run_with_curves"]

RUNS_A_PAGE = 100
MOST_RUNS_A_PAGE = 1_000

CHOOSABLE = tuple(column for column in RUN_COLUMNS if column.name != "id")
"""The columns that a reader of the page chooses among; the id stands before them."""

router = APIRouter()

_RUN = {
    "id": "3f9a0c52e1b7d604",
    "experiments": ["digits"],
    "family": "nfnet",
    "model": "nano-F1",
    "epochs": 4.0,
    "seed": 0,
    "learning_rate": 0.8,
    "status": "finished",
    "params": 61_034,
    "train_flops": 2.1e12,
    "core_hours": 0.00061,
    "val_loss": 0.1384,
    "val_top1": 0.9622,
}
_RUNS = {"schema_version": 1, "total": 30, "next": None, "runs": [_RUN], "version": "8c5e01f2d4a7b-412", "left": []}


@dataclass(frozen=True)
class RunsQuestion(Question):
    """Asks for runs, and for a page of them."""

    FORM: ClassVar[tuple[str, ...]] = ("experiment", "status", "family", "model", "q")

    status: Annotated[tuple[str, ...] | None, Asked("Only runs in one of these states.", "Status", any="any")] = None
    family: Annotated[str | None, Asked("Only runs of this model family.", "Family", any="all")] = None
    model: Annotated[str | None, Asked("Only runs of this model.", "Model", any="all")] = None
    q: Annotated[
        str | None,
        Asked(f"Only runs with all of these words: `{EXAMPLE}`; `scaling docs columns` lists them.", "With all of these words"),
    ] = None
    sort: Annotated[
        str | None, Asked("A column, as `val_loss`; `-val_loss` has the largest first. Oldest first when left out.")
    ] = None
    columns: Annotated[tuple[str, ...] | None, Asked("Columns that the page shows; JSON and CSV have all.")] = None
    limit: Annotated[int | None, Asked("Runs a page; 100 when left out.", least=1, most=MOST_RUNS_A_PAGE)] = None
    next: Annotated[str | None, Asked("The token `next` of the page before.")] = None

    @property
    def wanted(self) -> dict[str, Any]:
        """Return the conditions on runs, as `orchestrator.store.queries` takes them."""
        return {
            "experiment": self.experiment,
            "family": self.family,
            "model": self.model,
            "status": self.status or (),
            "q": self.q or "",
        }

    def check(self) -> None:
        asked_runs.check(q=self.q or "", sort=self.sort or OLDEST, status=self.status or ())
        columns_named(self.columns or ())
        _ = self.start

    @property
    def asked(self) -> str:
        """Return a short text for the list that a `next` is a place in."""
        return digest({**self.wanted, "sort": self.sort})

    @property
    def start(self) -> Position:
        """Return where the page begins. Raises `UsageError` for a `next` of another list."""
        return Position.parse(self.next, self.asked) if self.next else Position("", 0, asked=self.asked)


@dataclass(frozen=True)
class ListingQuestion(RunsQuestion):
    """Asks for runs, or for those that changed."""

    after: Annotated[str | None, Asked("A `version`: only the runs that changed since.")] = None


def columns_named(names: Iterable[str]) -> list[Column]:
    """Return the columns of these names, each a name or several with commas between them. Raises `UnknownName`."""
    known = {column.name: column for column in CHOOSABLE}
    names = [name.strip() for some in names for name in some.split(",")]
    for name in names:
        if name not in known:
            raise UnknownName("column", name, known)
    return [known[name] for name in names]


AskedRuns = Annotated[RunsQuestion, asks(RunsQuestion)]


@dataclass(frozen=True)
class Page:
    """Holds a page: `rows` number `first` … `last` of `total` that match; `next` and `previous` are tokens of the pages beside it.

    version: token of the version that the first page was of. left: of increments, the ids of runs that changed and do not match.
    """

    rows: list[dict[str, Any]]
    first: int
    total: int
    next: str | None
    previous: str | None
    version: str
    left: tuple[str, ...] = ()

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1


@router.get(
    "/runs",
    summary="Runs, oldest first, in pages",
    operation_id="list_runs",
    responses=answers(RunsAnswer, _RUNS),
)
def runs(question: Annotated[ListingQuestion, asks(ListingQuestion)], database: TheDatabase) -> Response:
    """List runs in pages: follow `next` until it is null. A row has the columns of the run table, every quantity under its one name.

    `after` asks for increments: with the `version` of an earlier answer, `runs` are those that changed since and match what is asked. `left`
    are the ids of those that changed and do not match, or were deleted: drop them. Ask with the same conditions, and follow `next` here too;
    then `version` is what to ask with next time. A version of another store is answered with 410: begin anew.
    """
    page = changed_runs(database, question) if question.after or _is_of_increments(question) else page_of_runs(database, question)
    listing = runs_payload(page.rows, total=page.total, next_page=page.next)
    return json_answer({**listing, "version": page.version, "left": list(page.left)})


@router.get(
    "/runs/{run_id}",
    summary="One run: config, attempts, evaluations and curves",
    operation_id="get_run",
    responses=answers(RunAnswer, {"schema_version": 1, "run": {**_RUN, "metrics": {"train_loss": [[10, 2.1]]}}}),
)
def run(run_id: str, database: TheDatabase, request: Request) -> Response:
    """Find the run by its id or any prefix of it that no other run shares. `forecast`: where it will end, of a run in training."""
    detail, curves = run_with_curves(database, run_id)
    forecast = request.app.state.forecasts.present(detail)
    return json_answer(run_payload(detail, curves, None if forecast is None else forecast.to_dict()))


def page_of_runs(database: Database, question: RunsQuestion, *, sort: str = OLDEST) -> Page:
    """Read a page of runs. sort: where the question leaves it out.

    Raises `UnknownName` for an experiment, status, field or column that does not exist, `UsageError` for a foreign `next`.
    """
    start, sort, limit = question.start, question.sort or sort, question.limit or RUNS_A_PAGE
    asked = {**question.wanted, "sort": sort, "limit": limit + 1}  # one more: is there another page?
    with database.read() as session:
        version = start.version or RunVersion.of(session).token()
        total = queries.count_runs(session, **question.wanted)
        rows = queries.runs(session, **asked, after=start.run_id or None, back=start.back)
    has_more, before = len(rows) > limit, start.count
    if start.back:
        rows, has_previous, has_next = rows[-limit:], has_more, True
    else:
        rows, has_previous, has_next = rows[:limit], bool(start.run_id), has_more
    if not rows:
        return Page(rows, before + 1, total, None, None, version)
    after = replace(start, run_id=rows[-1]["id"], count=before + len(rows), back=False, version=version).token()
    previous = replace(start, run_id=rows[0]["id"], count=max(0, before - limit), back=True, version=version).token()
    return Page(rows, before + 1, total, after if has_next else None, previous if has_previous else None, version)


def changed_runs(database: Database, question: ListingQuestion) -> Page:
    """Read which runs changed since `question.after`, in the order of their changes; those that do not match are in `left`.

    Runs in training come with the first page when their scheduler has died since, or another one has begun: they are shown as pending then.
    Raises as `page_of_runs`, and `VersionGone` for a version of another store.
    """
    if question.sort:
        raise UsageError("`after` lists runs in the order of their changes", hint="leave `sort` out")
    seen = RunVersion.parse(question.start.version or question.after or "")
    limit = question.limit or RUNS_A_PAGE
    with database.read() as session:
        now = RunVersion.of(session)
        seen.refuse_another_store(now)
        changed = run_changes.since(session, seen.number, limit + 1)
        ids = [run_id for _, run_id in changed[:limit]]
        ids += run_changes.in_training(session) if seen.gone != now.gone else []
        rows = queries.runs(session, **question.wanted, ids=ids)
        total = queries.count_runs(session, **question.wanted)
    has_more = len(changed) > limit
    version = (now.up_to(changed[limit - 1][0]) if has_more else now).token()
    left = dict.fromkeys(ids).keys() - {row["id"] for row in rows}
    after = replace(question.start, version=version).token() if has_more else None
    return Page(rows, 1, total, after, None, version, tuple(sorted(left)))


def _is_of_increments(question: RunsQuestion) -> bool:
    """Say whether `next` is that of a page of increments."""
    start = question.start
    return start.version != "" and start.run_id == ""


def run_with_curves(database: Database, prefix: str) -> tuple[dict[str, Any], dict[str, list[tuple[int, float | None]]]]:
    """Read `queries.run_detail` and `queries.metrics` of a run named in a path. Raises `NotFound`; `UsageError` for a shared prefix."""
    with naming_a_path(), database.read() as session:
        detail = queries.run_detail(session, prefix)
        return detail, queries.metrics(session, detail["id"])
