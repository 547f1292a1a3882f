"""the weight decay of a run, and what a search found of a second setting, weight decay or batch size

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_RUNS = sa.table("runs", sa.column("id", sa.String()), sa.column("config", sa.JSON()), sa.column("weight_decay", sa.Double()))


def upgrade() -> None:
    op.add_column("searches", sa.Column("second", sa.Double(), nullable=True))
    op.add_column("runs", sa.Column("weight_decay", sa.Double(), nullable=True))
    connection = op.get_bind()
    found = [(run, _weight_decay(config)) for run, config in connection.execute(sa.select(_RUNS.c.id, _RUNS.c.config))]
    if known := [{"run": run, "value": value} for run, value in found if value is not None]:
        change = sa.update(_RUNS).where(_RUNS.c.id == sa.bindparam("run")).values(weight_decay=sa.bindparam("value"))
        connection.execute(change, known)


def _weight_decay(config: object) -> float | None:
    """Return what the optimiser of a run was given; None for a program's run, and where the config does not say."""
    if not isinstance(config, dict) or config.get("program") is not None:
        return None
    value = (config.get("optimizer") or {}).get("weight_decay")
    return float(value) if isinstance(value, (int, float)) else None
