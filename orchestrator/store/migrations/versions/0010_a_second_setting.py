"""what a search found of a second setting, weight decay or batch size

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("searches", sa.Column("second", sa.Double(), nullable=True))
