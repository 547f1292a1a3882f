"""the laws that `submit` told are not kept: nothing read them, and the runs tell them again

The copy of a file that is made before it is upgraded has them still.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.drop_table("laws")


def downgrade() -> None:
    """For tests that make a store of an earlier version."""
    texts = {"law": 40, "metric": 60, "x": 60, "fitted_on": 20, "code_version": 100}
    op.create_table(
        "laws",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("experiment_id", sa.Integer(), sa.ForeignKey("experiments.id")),
        *(sa.Column(name, sa.String(length), nullable=False) for name, length in texts.items()),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in ("fit", "run_ids")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
