"""Makes of a store what an earlier version had left: the migrations from 0006 on, taken back."""

from __future__ import annotations

from importlib import import_module

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

_VERSIONS = "orchestrator.store.migrations.versions"
_IDS = "SELECT id FROM runs WHERE rehearsal"
_OF_REHEARSALS = {
    "runs": "rehearsal",
    "attempts": f"run_id IN ({_IDS})",
    "allocations": f"id IN (SELECT allocation_id FROM attempts WHERE run_id IN ({_IDS}))",
    "branch_points": f"run_id IN ({_IDS})",
}


def downgraded(url, revision: str) -> None:
    """Take back every migration after `revision`: 0005, 0006 or 0007."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        op = Operations(MigrationContext.configure(connection))
        for number in sorted(_TAKEN_BACK, reverse=True):
            if number > revision:
                _TAKEN_BACK[number](connection, op)
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    engine.dispose()


def _no_rehearsals(connection, op):
    migration = import_module(f"{_VERSIONS}.0008_rehearsals")
    for table in migration._NAMING_AN_ACCELERATOR:
        op.execute(f"UPDATE {table} SET accelerator = 'simulated ' || accelerator WHERE {_OF_REHEARSALS[table]}")
    _rewrite(connection, migration, _as_a_family, migration._RUNS.c.rehearsal == sa.true())
    op.drop_column("runs", "rehearsal")


def _as_a_family(row):
    if not row.pop("rehearsal"):
        return row
    model, options, resources = row["config"]["model"], dict(row["options"]), dict(row["resources"])
    pace, of = options.pop("execution"), {"of": model["family"], "of_options": model["options"], "surface": model["surface"]}
    options["rehearsal"] = {name: pace[name] for name in ("speed", "step_seconds")} | {"pool": resources.pop("stated")}
    resources["accelerator"] = f"simulated {resources['accelerator']}"
    model = {"family": "simulated", "name": model["name"], "options": of}
    return row | {"family": "simulated", "config": row["config"] | {"model": model}, "resources": resources, "options": options}


def _laws(connection, op):
    texts = {"law": 40, "metric": 60, "x": 60, "fitted_on": 20, "code_version": 100}
    op.create_table(
        "laws",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("experiment_id", sa.Integer(), sa.ForeignKey("experiments.id")),
        *(sa.Column(name, sa.String(length), nullable=False) for name, length in texts.items()),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in ("fit", "run_ids")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )


def _no_options(connection, op):
    _rewrite(connection, import_module(f"{_VERSIONS}.0006_resources_and_options"), _as_one, sa.true())
    op.drop_column("runs", "options")


def _as_one(row):
    options = row.pop("options")
    return row | {"resources": row["resources"] | options.pop("rehearsal", {}) | options}


def _rewrite(connection, migration, change, ours):
    """Change the runs, and the templates from which searches make runs."""
    runs, searches = migration._RUNS, migration._SEARCHES
    for row in connection.execute(sa.select(runs).where(ours)).mappings().all():
        connection.execute(sa.update(runs).where(runs.c.id == row["id"]).values(**change(dict(row))))
    for search, template in connection.execute(sa.select(searches.c.id, searches.c.template)).all():
        row = change(template)
        values = {"template": row} | ({"family": row["family"]} if "family" in searches.c else {})
        connection.execute(sa.update(searches).where(searches.c.id == search).values(**values))


def _no_programs(connection, op):
    op.drop_column("runs", "scores")
    op.drop_column("runs", "macs")


def _no_seconds(connection, op):
    op.drop_column("searches", "second")
    op.drop_column("runs", "weight_decay")


def _no_finetuning(connection, op):
    op.drop_table("finetunings")
    with op.batch_alter_table("searches") as batch:
        batch.drop_constraint("one_search_a_cell", type_="unique")
        batch.drop_column("stage")
        batch.create_unique_constraint("searches_key", ["experiment_id", "family", "model", "epochs"])


def _no_imports(connection, op):
    op.drop_column("runs", "imported_from")


def _no_run_changes(connection, op):
    migration = import_module(f"{_VERSIONS}.0013_run_changes")
    for name, event, *_ in migration._TRIGGERS:
        if connection.dialect.name == "sqlite":
            op.execute(f"DROP TRIGGER {name}")
        else:
            op.execute(f"DROP TRIGGER {name} ON {event.rpartition(' ')[2]}")
            op.execute(f"DROP FUNCTION {name}")
    op.execute("DELETE FROM changes WHERE name = 'runs'")
    op.drop_table("run_changes")


def _no_pace_index(connection, op):
    op.drop_index("runs_by_pace", "runs")


_TAKEN_BACK = {
    "0014": _no_pace_index,
    "0013": _no_run_changes,
    "0012": _no_imports,
    "0011": _no_finetuning,
    "0006": _no_options,
    "0007": _laws,
    "0008": _no_rehearsals,
    "0009": _no_programs,
    "0010": _no_seconds,
}
