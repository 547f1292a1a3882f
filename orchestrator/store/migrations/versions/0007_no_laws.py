"""the laws that `submit` told are not kept: nothing read them, and the runs tell them again

The copy of a file that is made before it is upgraded has them still.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.drop_table("laws")
