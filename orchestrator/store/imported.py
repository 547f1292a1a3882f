"""Runs that were trained elsewhere: rows of `runs` whose `imported_from` names a file. Nobody trains them, and no attempt is of them.

They belong to an experiment of their own, whose revisions say how the file was read: `resolved["imported"]` is its source, as
`analysis.reading.source` has it. A number that the file does not say is 0 in its column, which SQL does not allow to be empty, and None in
`scores`, which holds whatever else the row says.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from orchestrator.resources import Resources, RunOptions
from orchestrator.store import changes
from orchestrator.store.experiments import find_experiment, latest_revision
from orchestrator.store.membership import among
from orchestrator.store.models import Experiment, ExperimentRun, Metric, Revision, Run, now
from scaling.columns import COLUMNS, FINETUNING
from scaling.errors import UsageError
from scaling.outcomes import RunStatus

__all__ = [
    "Changed",
    "Comparison",
    "ImportedCurves",
    "ImportedRun",
    "compare",
    "imported_run",
    "refuse_imported",
    "refuse_name",
    "sources",
    "write",
]

_RUNS: Any = Run.__table__
_LINKS: Any = ExperimentRun.__table__
_METRICS: Any = Metric.__table__
_ROWS = 5_000

_SMALL, _LARGE = 2**31, 2**63
_TEXTS = {"family": 100, "model": 200, "dataset": 200, "accelerator": 40}
_INTEGERS = {"batch_size": _SMALL, "cores": _SMALL} | dict.fromkeys(
    ("seed", "params", "steps", "step", "examples_seen", "unique_examples"), _LARGE
)
_FLOATS = (
    "epochs", "learning_rate", "weight_decay", "train_flops", "core_hours", "inherited_core_hours", "allocated_core_hours", "val_loss", "val_top1",
    "val_top5", "chance_loss", "train_loss",
)  # fmt: skip
_EMPTY: dict[str, Any] = dict.fromkeys(("family", "model", "dataset"), "") | dict.fromkeys(
    (
        "epochs", "learning_rate", "batch_size", "seed", "params", "steps", "step", "examples_seen", "unique_examples", "train_flops", "core_hours",
        "inherited_core_hours", "allocated_core_hours",
    ),
    0,
)  # fmt: skip
"""What a column holds that may not be empty, where the file does not say it."""

_OWN = frozenset({"id", "experiments", "attempts", "packed", "created_at", "imported_from", "chips"})
"""Columns that an importing store gives its runs itself."""


@dataclass(frozen=True)
class ImportedCurves:
    """Holds the curves of a run that has several rows. over: the column that orders them. points: metric → [(step, value), …]."""

    over: str
    points: Mapping[str, Sequence[tuple[int, float]]]


@dataclass(frozen=True, eq=False)
class ImportedRun:
    """Holds a run as it is stored. name: what it is called in the file. columns: of `models.Run`, with `scores` and `config`.

    curves: where the file has several rows of it.
    """

    id: str
    name: str
    columns: dict[str, Any]
    curves: ImportedCurves | None = None

    @property
    def digest(self) -> str:
        """Return the hash of all that the file says of it."""
        return str(self.columns["config"]["imported"]["digest"])


@dataclass(frozen=True)
class Changed:
    """Names a run of which the file now says something else: column → (as it is in the store, as it is in the file)."""

    run: ImportedRun = field(repr=False)
    values: dict[str, tuple[Any, Any]]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Compares the runs of a file with those of its experiment in the store.

    new: only in the file. same: how many are in both alike. changed: in both, and not alike. gone: (id, name) of those only in the store.
    """

    new: list[ImportedRun]
    same: int
    changed: list[Changed]
    gone: list[tuple[str, str]]


def imported_run(
    experiment: str,
    key: str,
    values: Mapping[str, Any],
    *,
    file: str,
    parent: str | None = None,
    curves: ImportedCurves | None = None,
) -> ImportedRun:
    """Make a run of a row of a table.

    Its id is a hash of the experiment and `key`, so that the same row is the same run again.

    values: column → value, in our names and units, without those that are missing. `status` is a final one of `RunStatus`. parent: id of
    the run that it was fine-tuned from, where that is imported too.
    """
    said = {_text(name): _plain(value) for name, value in values.items() if name not in _OWN}
    columns: dict[str, Any] = {}
    scores: dict[str, Any] = {"imported_id": _plain(values.get("imported_id") or values.get("id", key))}
    for name in (*_TEXTS, *_INTEGERS, *_FLOATS):
        value = said.pop(name, None)
        kept = _fitted(name, value)
        columns[name] = _EMPTY.get(name) if kept is None else kept
        if columns[name] != value or isinstance(value, bool):
            scores[name] = value
    ended = said.pop("ended_at", None)
    columns |= {
        "status": RunStatus(said.pop("status")),
        "reason": str(said.pop("reason", "") or ""),
        "excluded_reason": str(said.pop("excluded", "") or "") or None,
        "rehearsal": str(said.pop("rehearsal", "")).lower() in ("true", "1", "1.0"),
        "ended_at": _time(ended),
        "parent_id": parent if said.get("stage") == FINETUNING else None,
    }
    scores |= {name: value for name, value in said.items() if name not in scores} | ({"parent": parent} if parent else {})
    said_of_it = {
        name: value for name, value in scores.items() if name != "imported_id"
    }  # `row 8` may be row 9 of a file that has grown
    digest = _digest([{name: str(value) for name, value in columns.items()}, said_of_it])
    about = {"from": file, "digest": digest} | ({} if curves is None else {"curves_over": curves.over})
    columns |= {"scores": scores, "config": {"imported": about}, "imported_from": file}
    columns |= {"shape": "imported", "resources": Resources("", 0), "options": RunOptions(), "macs": 0.0, "provisional": False}
    return ImportedRun(_digest(["imported", experiment, key])[:16], str(scores["imported_id"]), columns, curves)


def compare(session: Session, experiment: str, runs: Sequence[ImportedRun]) -> Comparison:
    """Compare runs with those that were imported into an experiment. Raises as `refuse_name`."""
    refuse_name(session, experiment)
    ours = select(ExperimentRun.run_id).join(Experiment).where(Experiment.name == experiment)
    query = select(Run.id, Run.config, Run.scores).where(Run.id.in_(ours), Run.imported_from.is_not(None))
    known = {run: (config["imported"]["digest"], (scores or {})["imported_id"]) for run, config, scores in session.execute(query)}
    there = [run for run in runs if run.id in known]
    changed = [run for run in there if run.digest != known[run.id][0]]
    before = {run.id: run for run in session.scalars(select(Run).where(among(session, Run.id, [run.id for run in changed])))}
    asked = {run.id for run in runs}
    return Comparison(
        new=[run for run in runs if run.id not in known],
        same=len(there) - len(changed),
        changed=[Changed(run, _differences(before[run.id], run)) for run in changed],
        gone=[(run, str(name)) for run, (_, name) in known.items() if run not in asked],
    )


def write(
    session: Session,
    experiment: str,
    *,
    new: Sequence[ImportedRun],
    changed: Sequence[ImportedRun] = (),
    gone: Iterable[str] = (),
    file: str,
    text: str,
    source: Mapping[str, Any],
) -> None:
    """Add runs to an experiment, replace those that changed, and remove those that are gone.

    text: how the file was read, for a reader. source: the same for the analysis. Raises as `refuse_name`.
    """
    refuse_name(session, experiment)
    of = find_experiment(session, experiment)
    if of is None:
        session.add(of := Experiment(name=experiment))
        session.flush()
    latest = latest_revision(session, experiment)
    number = latest.number if latest else 0
    resolved = {"imported": dict(source)}
    if latest is None or latest.resolved != resolved:
        number += 1
        shared = {"imported": file}
        session.add(Revision(experiment_id=of.id, number=number, file=file, text=text, resolved=resolved, recipe_fields=shared))
    begun = now()
    rows = [{"id": run.id, **run.columns, "created_at": begun + timedelta(microseconds=place)} for place, run in enumerate(new)]
    rows.sort(key=lambda row: row["parent_id"] is not None)
    for first in range(0, len(rows), _ROWS):
        session.execute(insert(_RUNS), rows[first : first + _ROWS])
    links = [{"experiment_id": of.id, "run_id": run.id, "added_in": number} for run in new]
    for first in range(0, len(links), _ROWS):
        session.execute(insert(_LINKS), links[first : first + _ROWS])
    _write_curves(session, new)
    _remove_curves(session, [run.id for run in changed])
    _write_curves(session, changed)
    for run in changed:  # an exclusion by hand stays
        kept = {
            name: value
            for name, value in run.columns.items()
            if name not in ("provisional", "excluded_reason" if not run.columns["excluded_reason"] else "")
        }
        session.execute(update(_RUNS).where(_RUNS.c.id == run.id).values(kept))
    if left := list(gone):
        session.execute(update(_RUNS).where(among(session, _RUNS.c.parent_id, left)).values(parent_id=None))
        session.execute(delete(_LINKS).where(among(session, _LINKS.c.run_id, left)))
        _remove_curves(session, left)
        session.execute(delete(_RUNS).where(among(session, _RUNS.c.id, left)))
    changes.note(session)


def _write_curves(session: Session, runs: Iterable[ImportedRun]) -> None:
    points = [
        {"run_id": run.id, "name": name, "step": step, "value": value}
        for run in runs
        if run.curves is not None
        for name, curve in run.curves.points.items()
        for step, value in curve
    ]
    for first in range(0, len(points), _ROWS):
        session.execute(insert(_METRICS), points[first : first + _ROWS])


def _remove_curves(session: Session, run_ids: Sequence[str]) -> None:
    if run_ids:
        session.execute(delete(_METRICS).where(among(session, _METRICS.c.run_id, run_ids)))


def sources(session: Session, experiment: str | None = None) -> list[dict[str, Any]]:
    """List how the files of imported experiments (or of one) were read, the oldest first: the latest `resolved["imported"]` of each."""
    query = select(Experiment.name, Revision.resolved).join(Revision).order_by(Experiment.id, Revision.number)
    if experiment is not None:
        query = query.where(Experiment.name == experiment)
    return list({name: resolved["imported"] for name, resolved in session.execute(query) if "imported" in resolved}.values())


def refuse_name(session: Session, experiment: str) -> None:
    """Raise `UsageError` where an experiments file has this name: its runs are those that the file asks for."""
    latest = latest_revision(session, experiment)
    if latest is not None and "imported" not in latest.resolved:
        raise UsageError(
            f"experiment {experiment!r} is that of the file {latest.file or 'of a dictionary'}",
            hint="import into another: --experiment NAME",
        )


def refuse_imported(session: Session, run_ids: Iterable[str], what: str) -> None:
    """Raise `UsageError` where one of the runs was imported. what: why that cannot be done which was asked for."""
    query = select(Run.id, Run.imported_from).where(among(session, Run.id, run_ids), Run.imported_from.is_not(None)).limit(1)
    for run, file in session.execute(query):
        raise UsageError(
            f"run {run} was imported from {file}: {what}",
            hint="`scaling exclude` leaves it out of fits; `scaling runs` shows it",
        )


def _differences(before: Run, after: ImportedRun) -> dict[str, tuple[Any, Any]]:
    names = (*_TEXTS, *_INTEGERS, *_FLOATS, "status", "reason")
    held = {name: getattr(before, name) for name in names} | (before.scores or {})
    said = {name: after.columns[name] for name in names} | after.columns["scores"]
    order = sorted(
        {*held, *said}, key=lambda name: (name not in COLUMNS, list(COLUMNS).index(name) if name in COLUMNS else 0, name)
    )
    return {name: (held.get(name), said.get(name)) for name in order if held.get(name) != said.get(name)}


def _fitted(name: str, value: Any) -> Any:
    """Return the value as its column holds it; None where it does not fit."""
    if name in _TEXTS:
        return value[: _TEXTS[name]] if isinstance(value, str) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if name in _FLOATS:
        return float(value) if abs(value) <= _LARGEST else None
    return int(value) if float(value).is_integer() and abs(value) < _INTEGERS[name] else None


_LARGEST = 1.7976931348623157e308


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it: no NaN, infinities as the largest number, as the reader takes them, and text without NUL."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < _LARGE else float(value)
    if isinstance(value, float):
        return None if math.isnan(value) else max(-_LARGEST, min(_LARGEST, value))
    if isinstance(value, Mapping):
        return {_text(str(name)): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return _text(value.isoformat() if hasattr(value, "isoformat") else str(value))


def _text(text: str) -> str:
    """Return a text that every database holds."""
    return text.replace("\0", "␀").encode(errors="replace").decode()


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]
