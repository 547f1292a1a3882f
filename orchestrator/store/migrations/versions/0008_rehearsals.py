"""a rehearsal has the family and the accelerator that it stands for, and is marked as one

Run ids stay, so that rehearsals that are not through go on.

Revision ID: 0008
Revises: 0007
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_ROWS = 10_000
_JSON = ("config", "resources", "options")
_RUNS = sa.table("runs", *map(sa.column, ("id", "family", "params", "rehearsal")), *(sa.column(name, sa.JSON()) for name in _JSON))
_SEARCHES = sa.table("searches", sa.column("id"), sa.column("family"), sa.column("template", sa.JSON()))
_NAMING_AN_ACCELERATOR = ("runs", "attempts", "allocations", "branch_points")
_REMOVED = "DELETE FROM searches WHERE removed_in IS NOT NULL AND experiment_id IN (SELECT experiment_id FROM searches WHERE family = 'simulated')"
"""Searches that a revision took out: one of a rehearsal and one of a training may be of the same cell now."""


def upgrade() -> None:
    op.add_column("runs", sa.Column("rehearsal", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(_REMOVED)
    _rewrite()
    for table in _NAMING_AN_ACCELERATOR:
        op.execute(f"UPDATE {table} SET accelerator = replace(accelerator, 'simulated ', '')")


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


def _rewrite() -> None:
    """Change the rehearsals among the runs, and what searches make runs of."""
    connection, last = op.get_bind(), ""
    of_run = sa.update(_RUNS).where(_RUNS.c.id == sa.bindparam("its_id"))
    rehearsals = sa.select(_RUNS).where(_RUNS.c.family == "simulated").order_by(_RUNS.c.id).limit(_ROWS)
    while rows := connection.execute(rehearsals.where(_RUNS.c.id > last)).mappings().all():
        connection.execute(of_run, [{"its_id": row["id"], **_marked(dict(row))} for row in rows])
        last = rows[-1]["id"]
    for search, template in connection.execute(sa.select(_SEARCHES.c.id, _SEARCHES.c.template)).all():
        row = _marked(template)
        connection.execute(sa.update(_SEARCHES).where(_SEARCHES.c.id == search).values(template=row, family=row["family"]))
