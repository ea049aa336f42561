"""Leases: which process serves, a row for the database and a row for the bot.

Why: two processes with one database or one token answer everything twice, and neither notices. A row names its holder and counts
its heartbeats; a newcomer watches whether the count goes on, so that no clock of two machines is ever compared. The bot is
named by a digest of its id, never by its token.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody holds anything yet."""
    op.create_table(
        "leases",
        sa.Column("scope", sa.String(80), nullable=False),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_leases"),
    )


def downgrade() -> None:
    """An older version looks for no lease."""
    op.drop_table("leases")
