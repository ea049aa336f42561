"""Votes: a thumb up or down under an answer, one a person.

Why: which answers people liked is the one thing about them that the model cannot be asked. A vote is a row of its own, so that it
can be changed and taken back, and goes with its run; it holds no word of the question or the answer.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From runs without votes."""
    op.create_table(
        "votes",
        sa.Column("run_id", sa.String(16), nullable=False),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.SmallInteger(), nullable=False),
        sa.Column("cast_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "user_id", name="pk_votes"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_votes_run_id_runs", ondelete="CASCADE"),
        sa.CheckConstraint("value IN (-1, 1)", name=op.f("ck_votes_value")),
    )


def downgrade() -> None:
    """Every vote is lost."""
    op.drop_table("votes")
