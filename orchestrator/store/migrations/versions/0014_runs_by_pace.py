"""an index of the finished runs by what shares a pace

Revision ID: 0014
Revises: 0013

The pace of short runs is asked for with every page of runs, and by a trigger whenever a run finishes.
"""

from alembic import op
from sqlalchemy import text

revision = "0014"
down_revision = "0013"

_FINISHED = text("status = 'finished'")


def upgrade() -> None:
    op.create_index(
        "runs_by_pace",
        "runs",
        ["family", "model", "shape", "accelerator", "cores", "imported_from", "inherited_core_hours", "core_hours", "step"],
        sqlite_where=_FINISHED,
        postgresql_where=_FINISHED,
    )
