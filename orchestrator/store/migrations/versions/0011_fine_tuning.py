"""how the runs of a model are fine-tuned, and searches for the learning rates of that

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_NAMES = {"uq": "searches_%(column_0_N_name)s_key"}
"""SQLite keeps no name of the constraint; by these the batch finds it."""


def upgrade() -> None:
    op.create_table(
        "finetunings",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("experiment_id", sa.Integer(), sa.ForeignKey("experiments.id"), nullable=False),
        sa.Column("family", sa.String(100), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("chosen", sa.JSON(), nullable=False),
        sa.Column("template", sa.JSON(), nullable=False),
        sa.Column("rates", sa.JSON(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=True),
        sa.Column("is_cancelled", sa.Boolean(), nullable=False),
        sa.Column("added_in", sa.Integer(), nullable=False),
        sa.Column("removed_in", sa.Integer(), nullable=True),
        sa.UniqueConstraint("experiment_id", "family", "model"),
    )
    inspector = sa.inspect(op.get_bind())
    [known] = inspector.get_unique_constraints("searches")
    name = known["name"] or "searches_experiment_id_family_model_epochs_key"
    with op.batch_alter_table("searches", naming_convention=_NAMES) as batch:
        batch.add_column(sa.Column("stage", sa.String(20), nullable=False, server_default="pretraining"))
        batch.drop_constraint(name, type_="unique")
        batch.create_unique_constraint("one_search_a_cell", ["experiment_id", "family", "model", "epochs", "stage"])
