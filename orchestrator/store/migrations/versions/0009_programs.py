"""what a user's program states of its models, and what else it reported of a finished run

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("runs", sa.Column("macs", sa.Double(), nullable=True))
    op.add_column("runs", sa.Column("scores", sa.JSON(), nullable=True))
