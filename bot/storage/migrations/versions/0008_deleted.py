"""Whose words a run holds beside its own question's.

Why: what is deleted in Discord is deleted here, wherever it stands: in a question that quotes it, in what was asked of it again,
and in what goes on from a run that was purged meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From a bot that forgot only what was asked in the deleted message itself."""
    op.add_column("runs", sa.Column("quoted_message_id", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("origin_run_id", sa.String(16), nullable=True))
    op.create_index("ix_runs_quoted_message_id", "runs", ["quoted_message_id"])
    op.create_index("ix_runs_origin_run_id", "runs", ["origin_run_id"])
    op.create_table(
        "run_lineage",
        sa.Column("run_id", sa.String(16), nullable=False),
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_lineage_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "message_id", name=op.f("pk_run_lineage")),
    )
    op.create_index(op.f("ix_run_lineage_message_id"), "run_lineage", ["message_id"])


def downgrade() -> None:
    """SQLite can drop a column; a copied table would take messages and votes along."""
    op.drop_table("run_lineage")
    op.drop_index("ix_runs_origin_run_id", "runs")
    op.drop_index("ix_runs_quoted_message_id", "runs")
    op.drop_column("runs", "origin_run_id")
    op.drop_column("runs", "quoted_message_id")
