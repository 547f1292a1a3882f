"""which runs changed, in the order of commits

Revision ID: 0013
Revises: 0012

A later migration that makes one of these tables anew (SQLite drops its triggers with it) has to call `triggers` again.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_NEXT = "(SELECT coalesce(max(number), 0) FROM run_changes)"
_UPSERT = "ON CONFLICT (run_id) DO UPDATE SET number = excluded.number"
_WRITER = 0x5CA11  # the lock of `store.engine`: numbers are given in the order of commits whoever writes
_SHORT_HOURS = 60 / 3600  # of one core: `store.pace.SHORT_SECONDS`

_WANTED = "SELECT run_id AS id FROM experiment_runs WHERE experiment_id = NEW.experiment_id"
_OF_CELL = f"SELECT id FROM runs WHERE id IN ({_WANTED}) AND family = NEW.family AND model = NEW.model AND epochs = NEW.epochs"
_LIKE_IT = (
    "SELECT id FROM runs WHERE family = NEW.family AND model = NEW.model AND shape = NEW.shape AND accelerator = NEW.accelerator "
    f"AND cores = NEW.cores AND status = 'finished' AND imported_from IS NULL AND core_hours < cores * {_SHORT_HOURS!r}"
)
_ITS_PACE_MOVED = (
    "'finished' IN (OLD.status, NEW.status) AND NEW.imported_from IS NULL AND (OLD.status <> NEW.status OR OLD.step <> NEW.step "
    "OR OLD.core_hours <> NEW.core_hours OR OLD.inherited_core_hours <> NEW.inherited_core_hours)"
)

# Name, event, condition, the ids of the runs whose row may have changed.
_TRIGGERS = (
    ("runs_added", "INSERT ON runs", "", "NEW.id"),
    ("runs_updated", "UPDATE ON runs", "", "NEW.id"),
    ("runs_deleted", "DELETE ON runs", "", "OLD.id"),
    ("runs_share_pace", "UPDATE ON runs", _ITS_PACE_MOVED, _LIKE_IT),
    ("attempts_added", "INSERT ON attempts", "", "NEW.run_id"),
    ("attempts_packed", "UPDATE OF packed ON attempts", "", "NEW.run_id"),
    ("links_added", "INSERT ON experiment_runs", "", "NEW.run_id"),
    ("links_updated", "UPDATE ON experiment_runs", "", "NEW.run_id"),
    ("links_deleted", "DELETE ON experiment_runs", "", "OLD.run_id"),
    ("revisions_added", "INSERT ON revisions", "", _WANTED),  # it may state other prices
    ("searches_added", "INSERT ON searches", "", _OF_CELL),
    ("searches_updated", "UPDATE OF policy, removed_in ON searches", "", _OF_CELL),
)


def upgrade() -> None:
    op.create_table(
        "run_changes",
        sa.Column("run_id", sa.String(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
        sa.UniqueConstraint("number"),
    )
    op.execute("INSERT INTO run_changes (run_id, number) SELECT id, row_number() OVER (ORDER BY created_at, id) FROM runs")
    # Which count this is, so that a number of another store is not taken for one of this.
    op.execute(f"INSERT INTO changes (name, number) VALUES ('runs', {secrets.randbits(52)})")
    for statement in triggers(op.get_bind().dialect.name):
        op.execute(statement)


def triggers(dialect: str) -> list[str]:
    """Triggers that number the changed runs, in the dialects the store runs on."""
    made = []
    for name, event, condition, ids in _TRIGGERS:
        when = f"WHEN ({condition}) " if condition else ""
        one = ids.startswith(("NEW.", "OLD."))
        rows = (
            f"VALUES ({ids}, {_NEXT} + 1)"
            if one
            else f"SELECT id, {_NEXT} + row_number() OVER (ORDER BY id) FROM ({ids}) AS changed WHERE true"
        )
        number = f"INSERT INTO run_changes (run_id, number) {rows} {_UPSERT};"
        if dialect == "sqlite":
            made.append(f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW {when}BEGIN {number} END")
        else:
            made += [
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock({_WRITER}); {number} RETURN NULL; END $$",
                f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW {when}EXECUTE FUNCTION {name}()",
            ]
    return made
