"""a rehearsal has the family and the accelerator that it stands for, and is marked as one

Run ids stay, so that rehearsals that are not through go on.

Revision ID: 0008
Revises: 0007
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_ROWS = 10_000
_JSON = ("config", "resources", "options")
_RUNS = sa.table("runs", *map(sa.column, ("id", "family", "params", "rehearsal")), *(sa.column(name, sa.JSON()) for name in _JSON))
_SEARCHES = sa.table("searches", sa.column("id"), sa.column("family"), sa.column("template", sa.JSON()))
_OF_REHEARSALS = "SELECT id FROM runs WHERE rehearsal"
_HELD = {
    "runs": "rehearsal",
    "attempts": f"run_id IN ({_OF_REHEARSALS})",
    "allocations": f"id IN (SELECT allocation_id FROM attempts WHERE run_id IN ({_OF_REHEARSALS}))",
    "branch_points": f"run_id IN ({_OF_REHEARSALS})",
}
"""Where the name of an accelerator stands, and in which rows it is a rehearsal's."""

_REMOVED = "DELETE FROM searches WHERE removed_in IS NOT NULL AND experiment_id IN (SELECT experiment_id FROM searches WHERE family = 'simulated')"
"""Searches that a revision took out: one of a rehearsal and one of a training may be of the same cell now."""


def upgrade() -> None:
    op.add_column("runs", sa.Column("rehearsal", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(_REMOVED)
    _rewrite(_marked, _RUNS.c.family == "simulated")
    for table in _HELD:
        op.execute(f"UPDATE {table} SET accelerator = replace(accelerator, 'simulated ', '')")


def downgrade() -> None:
    for table, ours in _HELD.items():
        op.execute(f"UPDATE {table} SET accelerator = 'simulated ' || accelerator WHERE {ours}")
    _rewrite(_as_a_family, _RUNS.c.rehearsal == sa.true())
    op.drop_column("runs", "rehearsal")


def _marked(row: dict[str, Any]) -> dict[str, Any]:
    if row["family"] != "simulated":
        return row | {"rehearsal": False}
    model, options, resources = row["config"]["model"], dict(row["options"]), row["resources"]
    of, pace, real = model["options"], options.pop("rehearsal"), resources["accelerator"].removeprefix("simulated ")
    resources = resources | {"accelerator": real, "stated": pace.pop("pool")}
    options["execution"] = pace | {"params": row["params"]}
    model = {"family": of["of"], "name": model["name"], "options": of["of_options"], "surface": of["surface"]}
    changed = {"family": of["of"], "config": row["config"] | {"model": model}, "resources": resources, "options": options}
    return row | changed | {"rehearsal": True}


def _as_a_family(row: dict[str, Any]) -> dict[str, Any]:
    if not row.pop("rehearsal"):
        return row
    model, options, resources = row["config"]["model"], dict(row["options"]), dict(row["resources"])
    pace, of = options.pop("execution"), {"of": model["family"], "of_options": model["options"], "surface": model["surface"]}
    options["rehearsal"] = {name: pace[name] for name in ("speed", "step_seconds")} | {"pool": resources.pop("stated")}
    resources["accelerator"] = f"simulated {resources['accelerator']}"
    model = {"family": "simulated", "name": model["name"], "options": of}
    return row | {"family": "simulated", "config": row["config"] | {"model": model}, "resources": resources, "options": options}


def _rewrite(change: Callable[[dict[str, Any]], dict[str, Any]], ours: sa.ColumnElement[bool]) -> None:
    """Change the rehearsals among the runs, and what searches make runs of."""
    connection, last = op.get_bind(), ""
    of_run = sa.update(_RUNS).where(_RUNS.c.id == sa.bindparam("its_id"))
    while (
        rows := connection.execute(sa.select(_RUNS).where(ours, _RUNS.c.id > last).order_by(_RUNS.c.id).limit(_ROWS))
        .mappings()
        .all()
    ):
        connection.execute(of_run, [{"its_id": row["id"], **change(dict(row))} for row in rows])
        last = rows[-1]["id"]
    for search, template in connection.execute(sa.select(_SEARCHES.c.id, _SEARCHES.c.template)).all():
        row = change(template)
        connection.execute(sa.update(_SEARCHES).where(_SEARCHES.c.id == search).values(template=row, family=row["family"]))
