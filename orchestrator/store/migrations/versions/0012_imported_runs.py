"""runs that were trained elsewhere, read from a file

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("runs", sa.Column("imported_from", sa.Text(), nullable=True))
