"""searches, packs, shared trunks, workers that outlive a scheduler, and a counter of changes

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    changes = op.create_table(
        "changes",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.bulk_insert(changes, [{"name": "grid", "number": 0}])
    op.create_table(
        "searches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("family", sa.String(length=100), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("epochs", sa.Double(), nullable=False),
        sa.Column("template", sa.JSON(), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("trials", sa.Integer(), nullable=False),
        sa.Column("learning_rate", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("added_in", sa.Integer(), nullable=False),
        sa.Column("removed_in", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("experiment_id", "family", "model", "epochs"),
    )
    op.create_table(
        "probes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("shape", sa.String(length=16), nullable=False),
        sa.Column("family", sa.String(length=100), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("accelerator", sa.String(length=40), nullable=False),
        sa.Column("cores", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("compile_seconds", sa.Double(), nullable=True),
        sa.Column("step_seconds", sa.Double(), nullable=True),
        sa.Column("examples_per_second", sa.Double(), nullable=True),
        sa.Column("mfu", sa.Double(), nullable=True),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("core_hours_per_flop", sa.Double(), nullable=True),
        sa.Column("code_version", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("probes_by_shape", "probes", ["shape", "accelerator"])
    op.create_table(
        "branch_points",
        sa.Column("run_id", sa.String(length=16), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("accelerator", sa.String(length=40), nullable=False),
        sa.Column("core_hours", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("run_id", "step"),
    )
    op.add_column("runs", sa.Column("inherited_core_hours", sa.Double(), nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("branched_from", sa.Integer(), nullable=True))
    op.add_column("attempts", sa.Column("packed", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("attempts", sa.Column("node", sa.String(length=64), nullable=True))
    op.add_column("allocations", sa.Column("worker", sa.Text(), nullable=True))
